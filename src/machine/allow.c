/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/allow.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/opt.h"

/* A rule cut into its parts. */
struct parts {
	char host[LIMIT_ALLOW_RULE_BYTES];
	const char *prefix; /* behind '/', or NULL */
	const char *port;   /* behind the port's ':', or NULL */
	bool bracketed;
};

static int bad_rule(const char *text, const char *why, struct err *err)
{
	return err_set(err, EINVAL, "the allow rule '%.80s' %s", text, why);
}

/* Cuts "[host]:port" and "host/prefix:port"; a host with two colons or more is IPv6 without port. */
static int cut(const char *text, struct parts *parts, struct err *err)
{
	char *host = parts->host, *colon, *slash;

	if (strlen(text) >= sizeof(parts->host))
		return bad_rule(text, "is too long", err);
	memcpy(host, text, strlen(text) + 1);
	if (*host == '[') {
		char *end = strchr(host, ']');

		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return bad_rule(text, "has a '[' without ']' or without ':port' after it",
					err);
		if (end[1] == ':')
			parts->port = end + 2;
		*end = '\0';
		memmove(host, host + 1, (size_t)(end - host));
		parts->bracketed = true;
	} else {
		colon = strchr(host, ':');
		if (colon != NULL && strchr(colon + 1, ':') == NULL) {
			*colon = '\0';
			parts->port = colon + 1;
		}
	}
	slash = strchr(host, '/');
	if (slash != NULL) {
		*slash = '\0';
		parts->prefix = slash + 1;
	}
	return 0;
}

static int parse_port(const char *text, const struct parts *parts, uint16_t *ret_port,
		      struct err *err)
{
	long long port;

	*ret_port = 0;
	if (parts->port == NULL)
		return 0;
	if (opt_parse_int(parts->port, 1, 65535, &port) < 0)
		return bad_rule(text, "has a port that is not between 1 and 65535", err);
	*ret_port = (uint16_t)port;
	return 0;
}

static int parse_prefix(const char *text, const struct parts *parts, unsigned bits_max,
			uint8_t *ret_bits, struct err *err)
{
	long long bits = bits_max;

	if (parts->prefix != NULL && opt_parse_int(parts->prefix, 0, bits_max, &bits) < 0)
		return bad_rule(text, "has a prefix length that is not possible", err);
	*ret_bits = (uint8_t)bits;
	return 0;
}

/* True when all bits behind the first `bits` are zero. */
static bool host_bits_clear(const uint8_t *address, size_t bytes, unsigned bits)
{
	for (size_t i = bits / 8; i < bytes; i++) {
		uint8_t keep = i == bits / 8 ? (uint8_t)(0xff00 >> bits % 8) : 0;

		if ((address[i] & (uint8_t)~keep) != 0)
			return false;
	}
	return true;
}

static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (a[whole] & mask) == (b[whole] & mask);
}

/* Letters, digits, '-', '_' in labels of 1 to 63, separated by single dots (RFC 1035, and '_'). */
static bool is_dns_name(const char *name)
{
	size_t label = 0, length = strlen(name);

	if (length == 0 || length > 253)
		return false;
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			return false;
		if (++label > 63)
			return false;
	}
	return label > 0;
}

/* "10.0.0.300" and "1234" are mistakes, not names: no top-level domain is all digits. */
static bool last_label_is_number(const char *name)
{
	const char *dot = strrchr(name, '.');
	const char *label = dot != NULL ? dot + 1 : name;

	return strspn(label, "0123456789") == strlen(label);
}

static int parse_name(const char *text, const struct parts *parts, struct allow_rule *rule,
		      struct err *err)
{
	const char *name = parts->host;
	size_t length;

	rule->kind = ALLOW_NAME;
	if (strncmp(name, "*.", 2) == 0) {
		rule->kind = ALLOW_SUFFIX;
		name += 2;
	}
	length = strlen(name);
	if (length > 0 && name[length - 1] == '.')
		length--;
	snprintf(rule->name, sizeof(rule->name), "%.*s", (int)length, name);
	for (char *p = rule->name; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	if (parts->prefix != NULL || parts->bracketed || !is_dns_name(rule->name) ||
	    last_label_is_number(rule->name))
		return bad_rule(text,
				"is none of: address, address/prefix, name, *.name, each with or "
				"without :port",
				err);
	return 0;
}

int allow_rule_parse(const char *text, struct allow_rule *ret_rule, struct err *err)
{
	struct allow_rule rule = {0};
	struct parts parts = {0};
	unsigned bits = 0;
	size_t bytes = 0;
	int r;

	r = cut(text, &parts, err);
	if (r < 0)
		return r;
	r = parse_port(text, &parts, &rule.port, err);
	if (r < 0)
		return r;
	if (!parts.bracketed && inet_pton(AF_INET, parts.host, &rule.address4) == 1) {
		rule.kind = ALLOW_CIDR4;
		bytes = sizeof(rule.address4);
	} else if (inet_pton(AF_INET6, parts.host, &rule.address6) == 1) {
		rule.kind = ALLOW_CIDR6;
		bytes = sizeof(rule.address6);
	} else {
		r = parse_name(text, &parts, &rule, err);
		if (r < 0)
			return r;
	}
	if (bytes > 0) {
		bits = (unsigned)bytes * 8;
		r = parse_prefix(text, &parts, bits, &rule.prefix_bits, err);
		if (r < 0)
			return r;
		if (!host_bits_clear((const uint8_t *)&rule.address6, bytes, rule.prefix_bits))
			return bad_rule(text, "has address bits set behind its prefix", err);
	}
	*ret_rule = rule;
	return 0;
}

bool allow_rule_matches4(const struct allow_rule *rule, struct in_addr address)
{
	return rule->kind == ALLOW_CIDR4 &&
	       prefix_equal((const uint8_t *)&rule->address4, (const uint8_t *)&address,
			    rule->prefix_bits);
}

bool allow_rule_matches6(const struct allow_rule *rule, const struct in6_addr *address)
{
	return rule->kind == ALLOW_CIDR6 &&
	       prefix_equal(rule->address6.s6_addr, address->s6_addr, rule->prefix_bits);
}

bool allow_rule_matches_name(const struct allow_rule *rule, const char *name)
{
	size_t length = strlen(name), rule_length;

	if (rule->kind != ALLOW_NAME && rule->kind != ALLOW_SUFFIX)
		return false;
	rule_length = strlen(rule->name);
	if (length > 0 && name[length - 1] == '.')
		length--;
	if (rule->kind == ALLOW_NAME)
		return length == rule_length && strncasecmp(name, rule->name, length) == 0;
	return length > rule_length + 1 && name[length - rule_length - 1] == '.' &&
	       strncasecmp(name + length - rule_length, rule->name, rule_length) == 0;
}
