/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows that policy has let through, so that only their first packet is judged, and answers to the
 * host get out whatever the allow list says.
 *
 * A table of fixed size; when it is full the flow that was silent longest goes. A guest that pushes
 * out its own flows only makes them be judged again.
 */
#ifndef NET_FLOW_H
#define NET_FLOW_H

#include "packet.h"

#define FLOW_COUNT_MAX 4096
#define FLOW_BUCKETS   4096 /* a power of two */

/* How long a UDP or ICMP flow may be silent; libslirp keeps its sockets for 240 s. */
#define FLOW_SILENT_MS (240 * 1000)

struct flow {
	struct in6_addr remote;
	uint16_t remote_port, guest_port;
	uint8_t protocol;
	uint16_t next_in_bucket; /* index + 1, 0: none */
	uint16_t older, newer;   /* index + 1, 0: none */
	int64_t seen_ms;
};

struct flow_table {
	uint64_t seed;
	uint16_t oldest, newest; /* index + 1, 0: none */
	uint16_t count;
	uint16_t buckets[FLOW_BUCKETS];
	struct flow flows[FLOW_COUNT_MAX];
};

/* The table is zeroed; `seed` is random, so that a guest cannot choose its collisions. */
void flow_table_init(struct flow_table *table, uint64_t seed);

/* Is the packet's flow known and not yet silent for too long? It is the newest now. */
bool flow_touch(struct flow_table *table, const struct packet *packet, int64_t now_ms);

void flow_add(struct flow_table *table, const struct packet *packet, int64_t now_ms);

#endif
