/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/mem.h"
#include "base/strv.h"
#include "machine/net_config.h"

#define DNS_PORT 53

enum special_kind {
	SPECIAL_NONE,
	SPECIAL_CLOSED, /* opens to a rule that names it */
	SPECIAL_NEVER,
};

struct special {
	uint8_t address[16];
	uint8_t prefix_bits;
	enum special_kind kind;
};

#define V4(a, b, c, d)                                                                             \
	{                                                                                          \
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d                               \
	}

/* The first match counts. */
static const struct special specials[] = {
	{V4(192, 168, 127, 254), 128, SPECIAL_CLOSED}, /* the host's loopback */
	{V4(192, 168, 127, 0), 120, SPECIAL_NEVER},    /* the machine's own network */
	{V4(0, 0, 0, 0), 104, SPECIAL_NEVER},      /* "this network": Linux takes it for itself */
	{V4(127, 0, 0, 0), 104, SPECIAL_NEVER},    /* loopback */
	{V4(224, 0, 0, 0), 99, SPECIAL_NEVER},     /* multicast, reserved, broadcast */
	{V4(169, 254, 0, 0), 112, SPECIAL_CLOSED}, /* link-local; metadata of most clouds */
	{V4(100, 100, 100, 200), 128, SPECIAL_CLOSED},             /* metadata: Alibaba */
	{V4(168, 63, 129, 16), 128, SPECIAL_CLOSED},               /* metadata: Azure */
	{V4(192, 0, 0, 192), 128, SPECIAL_CLOSED},                 /* metadata: Oracle */
	{{0xfd, 0x00, 0x6b, 0x72, 0x75, 0x6e}, 64, SPECIAL_NEVER}, /* the machine's own network */
	{{0xfd, 0x00, 0x0e, 0xc2}, 32, SPECIAL_CLOSED},            /* metadata: Amazon */
	{{0xfd, 0x20, 0x00, 0xce}, 32, SPECIAL_CLOSED},            /* metadata: Google */
	{{0xfe, 0x80}, 10, SPECIAL_CLOSED},                        /* link-local */
	{{0xfe, 0xc0}, 10, SPECIAL_NEVER},                         /* site-local, given up */
	{{0xff}, 8, SPECIAL_NEVER},                                /* multicast */
	{{0}, 96, SPECIAL_NEVER}, /* unspecified, loopback, IPv4-compatible */
	{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, SPECIAL_NEVER}, /* NAT64 of the local network */
	{{0x20, 0x01, 0x00, 0x00}, 32, SPECIAL_NEVER},             /* Teredo: IPv4 behind a mask */
};

static bool has_prefix(const uint8_t address[16], const uint8_t prefix[16], unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(address, prefix, whole) != 0)
		return false;
	return rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

/* NAT64 (RFC 6052) and 6to4 (RFC 3056) carry an IPv4 address: that is what is judged. */
static bool find_embedded4(const struct in6_addr *address, struct in6_addr *ret_embedded)
{
	static const uint8_t nat64[16] = {0x00, 0x64, 0xff, 0x9b};
	static const uint8_t sixtofour[16] = {0x20, 0x02};

	if (has_prefix(address->s6_addr, nat64, 96)) {
		*ret_embedded = address_from4(&address->s6_addr[12]);
		return true;
	}
	if (has_prefix(address->s6_addr, sixtofour, 16)) {
		*ret_embedded = address_from4(&address->s6_addr[2]);
		return true;
	}
	return false;
}

static const struct special *find_special(const struct in6_addr *address)
{
	for (size_t i = 0; i < ARRAY_SIZE(specials); i++) {
		if (has_prefix(address->s6_addr, specials[i].address, specials[i].prefix_bits))
			return &specials[i];
	}
	return NULL;
}

static enum special_kind kind_of(const struct in6_addr *address)
{
	const struct special *special;
	struct in6_addr embedded;

	/* Whoever wants such an address can name the IPv4 one. */
	if (find_embedded4(address, &embedded) && find_special(&embedded) != NULL)
		return SPECIAL_NEVER;
	special = find_special(address);
	return special != NULL ? special->kind : SPECIAL_NONE;
}

/* The rule's prefix as one of IPv6. */
static unsigned rule_bits(const struct allow_rule *rule)
{
	return rule->kind == ALLOW_CIDR4 ? rule->prefix_bits + 96U : rule->prefix_bits;
}

static bool rule_matches(const struct allow_rule *rule, const struct packet *packet)
{
	struct in_addr address4;

	if (!allow_rule_matches_port(rule, packet->remote_port))
		return false;
	if (!IN6_IS_ADDR_V4MAPPED(&packet->remote))
		return rule->kind == ALLOW_CIDR6 && allow_rule_matches6(rule, &packet->remote);
	memcpy(&address4, &packet->remote.s6_addr[12], 4);
	return rule->kind == ALLOW_CIDR4 && allow_rule_matches4(rule, address4);
}

static bool rule_matches_name(const struct allow_rule *rule, const char *name)
{
	return (rule->kind == ALLOW_NAME || rule->kind == ALLOW_SUFFIX) &&
	       allow_rule_matches_name(rule, name);
}

/* A rule with a prefix of at least `bits_min` that matches. */
static bool has_rule_for(const struct policy *policy, const struct packet *packet,
			 unsigned bits_min)
{
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct allow_rule *rule = &policy->rules[i];

		if (rule_matches(rule, packet) && rule_bits(rule) >= bits_min)
			return true;
	}
	return false;
}

static bool has_pin_for(const struct policy *policy, const struct packet *packet, int64_t now_ms)
{
	for (size_t i = 0; i < policy->pin_count; i++) {
		const struct policy_pin *pin = &policy->pins[i];

		if (pin->until_ms > now_ms && address_is_equal(&pin->address, &packet->remote) &&
		    (pin->port == 0 || pin->port == packet->remote_port))
			return true;
	}
	return false;
}

/* The gateway is a resolver, and answers a ping. */
static enum policy_verdict judge_gateway(const struct packet *packet)
{
	bool has_ports = packet->protocol == IPPROTO_UDP || packet->protocol == IPPROTO_TCP;

	if (!has_ports)
		return POLICY_ALLOW;
	return packet->remote_port == DNS_PORT ? POLICY_DNS : POLICY_REFUSE;
}

int policy_init(struct policy *policy, char *const *allow_list, struct err *err)
{
	struct in_addr gateway4, loopback4;
	size_t count = allow_list != NULL ? strv_length(allow_list) : 0;

	if (inet_pton(AF_INET, NET_GATEWAY, &gateway4) != 1 ||
	    inet_pton(AF_INET, NET_HOST_LOOPBACK, &loopback4) != 1 ||
	    inet_pton(AF_INET6, NET6_GATEWAY, &policy->gateway6) != 1)
		abort();
	policy->gateway4 = address_from4(&gateway4);
	policy->loopback4 = address_from4(&loopback4);
	policy->has_list = allow_list != NULL;
	if (count > LIMIT_ALLOW_RULES)
		return err_set(err, EINVAL, "the allow list has more than %d rules",
			       LIMIT_ALLOW_RULES);
	policy->rules = mem_zalloc((count + 1) * sizeof(*policy->rules));
	for (size_t i = 0; i < count; i++) {
		int r = allow_rule_parse(allow_list[i], &policy->rules[i], err);

		if (r < 0)
			return r;
		policy->rule_count++;
	}
	return 0;
}

void policy_done(struct policy *policy)
{
	free(policy->rules);
	policy->rules = NULL;
	policy->rule_count = 0;
}

enum policy_verdict policy_judge(const struct policy *policy, const struct packet *packet,
				 int64_t now_ms)
{
	const struct special *special;

	if (address_is_equal(&packet->remote, &policy->gateway4) ||
	    address_is_equal(&packet->remote, &policy->gateway6))
		return judge_gateway(packet);
	switch (kind_of(&packet->remote)) {
	case SPECIAL_NEVER:
		return POLICY_REFUSE;
	case SPECIAL_CLOSED:
		special = find_special(&packet->remote);
		return has_rule_for(policy, packet, special->prefix_bits) ? POLICY_ALLOW
									  : POLICY_REFUSE;
	case SPECIAL_NONE:
		break;
	}
	if (!policy->has_list || has_rule_for(policy, packet, 0) ||
	    has_pin_for(policy, packet, now_ms))
		return POLICY_ALLOW;
	return POLICY_REFUSE;
}

bool policy_allows_name(const struct policy *policy, const char *name)
{
	if (!policy->has_list)
		return true;
	for (size_t i = 0; i < policy->rule_count; i++) {
		if (rule_matches_name(&policy->rules[i], name))
			return true;
	}
	return false;
}

/* The pin for the address and port, an expired one, a new place, or the one that ends first. */
static struct policy_pin *find_place(struct policy *policy, const struct in6_addr *address,
				     uint16_t port, int64_t now_ms)
{
	struct policy_pin *best = NULL;

	for (size_t i = 0; i < policy->pin_count; i++) {
		struct policy_pin *pin = &policy->pins[i];

		if (pin->port == port && address_is_equal(&pin->address, address))
			return pin;
		if (best == NULL || pin->until_ms < best->until_ms)
			best = pin;
	}
	if ((best == NULL || best->until_ms > now_ms) && policy->pin_count < POLICY_PINS_MAX)
		best = &policy->pins[policy->pin_count++];
	*best = (struct policy_pin){.address = *address, .port = port};
	return best;
}

void policy_pin_address(struct policy *policy, const char *name, const struct in6_addr *address,
			uint32_t ttl_s, int64_t now_ms)
{
	int64_t until_ms;

	if (!policy->has_list || kind_of(address) != SPECIAL_NONE)
		return;
	ttl_s = MIN(MAX(ttl_s, POLICY_TTL_S_MIN), POLICY_TTL_S_MAX) + POLICY_GRACE_S;
	until_ms = now_ms + (int64_t)ttl_s * 1000;
	for (size_t i = 0; i < policy->rule_count; i++) {
		struct policy_pin *pin;

		if (!rule_matches_name(&policy->rules[i], name))
			continue;
		pin = find_place(policy, address, policy->rules[i].port, now_ms);
		pin->until_ms = MAX(pin->until_ms, until_ms);
	}
}
