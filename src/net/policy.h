/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the guest may begin a flow.
 *
 * Without a list: everywhere but the special addresses below. With a list: only where a rule says
 * so; an address that a name of the list resolved to is pinned, for the ports of the name's rules,
 * as long as the answer lives.
 *
 * Special addresses are closed in both cases. Those of the "closed" kind (the host's loopback as
 * 192.168.127.254, link-local, cloud metadata) open to a rule that names them themselves or a part
 * of their range: "169.254.169.254" does, "0.0.0.0/0" and a name that resolves to them do not. Those
 * of the "never" kind (loopback, multicast, the machine's own network, IPv4 inside IPv6) never open:
 * libslirp or the host's kernel would take some of them for the host itself.
 *
 * Nothing is allocated after policy_init().
 */
#ifndef NET_POLICY_H
#define NET_POLICY_H

#include "base/err.h"
#include "machine/allow.h"
#include "packet.h"

#define POLICY_PINS_MAX 1024

/* The guest gets time to connect however short an answer lives; no answer lives longer than this. */
#define POLICY_TTL_S_MIN 60
#define POLICY_TTL_S_MAX 3600
#define POLICY_GRACE_S   30

enum policy_verdict {
	POLICY_REFUSE,
	POLICY_ALLOW,
	POLICY_DNS, /* for the resolver of krun-net at the gateway's port 53 */
};

struct policy_pin {
	struct in6_addr address;
	uint16_t port;    /* 0: any */
	int64_t until_ms; /* 0: unused */
};

struct policy {
	bool has_list;
	size_t rule_count;
	struct allow_rule *rules;
	struct in6_addr gateway4, gateway6, loopback4; /* loopback4: the alias of the host's */
	size_t pin_count;                              /* places used up to now */
	struct policy_pin pins[POLICY_PINS_MAX];
};

/*
 * `allow_list` NULL: no list. `policy` is zeroed. -EINVAL with the rule in the sentence.
 */
int policy_init(struct policy *policy, char *const *allow_list, struct err *err) _must_check_;
void policy_done(struct policy *policy);

/* Judges the first packet of a flow. */
enum policy_verdict policy_judge(const struct policy *policy, const struct packet *packet,
				 int64_t now_ms);

/* May the guest know this name's addresses? `name`: lower case, dots, no final one. */
bool policy_allows_name(const struct policy *policy, const char *name);

/*
 * The name resolved to the address, for `ttl_s` seconds: lets the guest connect there, on the ports
 * of the rules that the name falls under. Does nothing without a list and for special addresses.
 */
void policy_pin_address(struct policy *policy, const char *name, const struct in6_addr *address,
			uint32_t ttl_s, int64_t now_ms);

#endif
