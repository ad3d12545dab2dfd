/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One rule of an allow list: where a guest may connect to.
 *
 *	10.0.0.0/8   10.1.2.3   10.0.0.0/8:443   2001:db8::/32   [2001:db8::1]:443
 *	example.org   example.org:443   *.example.org   *.example.org:443
 *
 * "*.example.org" stands for every name below example.org, at any depth, not for itself. Names are
 * compared without case and without a final dot.
 */
#ifndef MACHINE_ALLOW_H
#define MACHINE_ALLOW_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/limits.h"

enum allow_kind {
	ALLOW_CIDR4,
	ALLOW_CIDR6,
	ALLOW_NAME,
	ALLOW_SUFFIX, /* "*.name" */
};

struct allow_rule {
	enum allow_kind kind;
	uint16_t port; /* 0: any */
	uint8_t prefix_bits;
	union {
		struct in_addr address4; /* network order, host bits cleared */
		struct in6_addr address6;
		char name[LIMIT_ALLOW_RULE_BYTES]; /* lower case, no final dot, no "*." */
	};
};

/* -EINVAL with a sentence that quotes the rule. Host bits behind the prefix are refused. */
int allow_rule_parse(const char *text, struct allow_rule *ret_rule, struct err *err) _must_check_;

/* Does the address fall under the rule (CIDR rules only)? The port is not looked at. */
bool allow_rule_matches4(const struct allow_rule *rule, struct in_addr address);
bool allow_rule_matches6(const struct allow_rule *rule, const struct in6_addr *address);

/* Does the DNS name fall under the rule (name rules only)? `name` in any case, final dot or not. */
bool allow_rule_matches_name(const struct allow_rule *rule, const char *name);

static inline bool allow_rule_matches_port(const struct allow_rule *rule, uint16_t port)
{
	return rule->port == 0 || rule->port == port;
}

#endif
