/* SPDX-License-Identifier: Apache-2.0 */
#include "flow.h"

#include <assert.h>

static uint64_t mix(uint64_t hash, uint64_t value)
{
	/* The finaliser of MurmurHash3. */
	hash ^= value;
	hash ^= hash >> 33;
	hash *= 0xff51afd7ed558ccdULL;
	hash ^= hash >> 33;
	hash *= 0xc4ceb9fe1a85ec53ULL;
	hash ^= hash >> 33;
	return hash;
}

static uint16_t *find_bucket(struct flow_table *table, const struct packet *packet)
{
	uint64_t halves[2], hash = table->seed;

	static_assert((FLOW_BUCKETS & (FLOW_BUCKETS - 1)) == 0, "a power of two");
	static_assert(FLOW_COUNT_MAX < UINT16_MAX, "indices fit");
	memcpy(halves, &packet->remote, sizeof(halves));
	hash = mix(mix(hash, halves[0]), halves[1]);
	hash = mix(hash, (uint64_t)packet->protocol << 32 | (uint64_t)packet->remote_port << 16 |
				 packet->guest_port);
	return &table->buckets[hash & (FLOW_BUCKETS - 1)];
}

static bool is_of_flow(const struct flow *flow, const struct packet *packet)
{
	return flow->remote_port == packet->remote_port && flow->guest_port == packet->guest_port &&
	       flow->protocol == packet->protocol &&
	       address_is_equal(&flow->remote, &packet->remote);
}

/* The link that holds the packet's flow, or the empty one at the end of its bucket. */
static uint16_t *find_link(struct flow_table *table, const struct packet *packet)
{
	uint16_t *link = find_bucket(table, packet);

	while (*link != 0 && !is_of_flow(&table->flows[*link - 1], packet))
		link = &table->flows[*link - 1].next_in_bucket;
	return link;
}

static void age_unlink(struct flow_table *table, const struct flow *flow)
{
	if (flow->older != 0)
		table->flows[flow->older - 1].newer = flow->newer;
	else
		table->oldest = flow->newer;
	if (flow->newer != 0)
		table->flows[flow->newer - 1].older = flow->older;
	else
		table->newest = flow->older;
}

static void age_append(struct flow_table *table, struct flow *flow)
{
	uint16_t number = (uint16_t)(flow - table->flows + 1);

	flow->older = table->newest;
	flow->newer = 0;
	if (table->newest != 0)
		table->flows[table->newest - 1].newer = number;
	else
		table->oldest = number;
	table->newest = number;
}

static void touch(struct flow_table *table, struct flow *flow, int64_t now_ms)
{
	flow->seen_ms = now_ms;
	if (flow->newer != 0) {
		age_unlink(table, flow);
		age_append(table, flow);
	}
}

/* Takes the flow at `link` out of the table; its place can be used again. */
static struct flow *take_out(struct flow_table *table, uint16_t *link)
{
	struct flow *flow = &table->flows[*link - 1];

	*link = flow->next_in_bucket;
	age_unlink(table, flow);
	return flow;
}

static struct flow *take_oldest(struct flow_table *table)
{
	const struct flow *oldest = &table->flows[table->oldest - 1];
	struct packet packet = {
		.remote = oldest->remote,
		.remote_port = oldest->remote_port,
		.guest_port = oldest->guest_port,
		.protocol = oldest->protocol,
	};

	return take_out(table, find_link(table, &packet));
}

/* A place for a flow: one never used, else the oldest one's. */
static struct flow *find_place(struct flow_table *table)
{
	if (table->count < FLOW_COUNT_MAX)
		return &table->flows[table->count++];
	return take_oldest(table);
}

void flow_table_init(struct flow_table *table, uint64_t seed)
{
	table->seed = seed;
}

bool flow_touch(struct flow_table *table, const struct packet *packet, int64_t now_ms)
{
	uint16_t number = *find_link(table, packet);
	struct flow *flow;

	if (number == 0)
		return false;
	flow = &table->flows[number - 1];
	if (packet->protocol != IPPROTO_TCP && now_ms - flow->seen_ms > FLOW_SILENT_MS)
		return false;
	touch(table, flow, now_ms);
	return true;
}

void flow_add(struct flow_table *table, const struct packet *packet, int64_t now_ms)
{
	uint16_t *link = find_link(table, packet);
	struct flow *flow;

	if (*link != 0) {
		touch(table, &table->flows[*link - 1], now_ms);
		return;
	}
	flow = find_place(table);
	/* Making room may have changed the bucket that `link` points into. */
	link = find_link(table, packet);
	*flow = (struct flow){
		.remote = packet->remote,
		.remote_port = packet->remote_port,
		.guest_port = packet->guest_port,
		.protocol = packet->protocol,
		.seen_ms = now_ms,
	};
	*link = (uint16_t)(flow - table->flows + 1);
	age_append(table, flow);
}
