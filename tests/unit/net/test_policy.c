/* SPDX-License-Identifier: Apache-2.0 */
/* Where a guest may connect to. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy.h"

static struct policy policy;

static int tear_down(void **state)
{
	(void)state;
	policy_done(&policy);
	memset(&policy, 0, sizeof(policy));
	return 0;
}

static void set_list(char *const *rules)
{
	struct err err = {0};

	policy_done(&policy);
	memset(&policy, 0, sizeof(policy));
	assert_int_equal(policy_init(&policy, (char *const *)rules, &err), 0);
}

#define SET_LIST(...)    set_list((char *const *)(const char *const[]){__VA_ARGS__, NULL})
#define SET_EMPTY_LIST() set_list((char *const *)(const char *const[]){NULL})

static struct in6_addr address_of(const char *text)
{
	struct in6_addr address = {0};
	struct in_addr address4;

	if (inet_pton(AF_INET, text, &address4) == 1)
		return address_from4(&address4);
	assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	return address;
}

static enum policy_verdict judge_at(const char *text, uint8_t protocol, uint16_t port,
				    int64_t now_ms)
{
	struct packet packet = {
		.remote = address_of(text),
		.protocol = protocol,
		.remote_port = port,
		.guest_port = 40000,
	};

	packet.is_ip6 = !IN6_IS_ADDR_V4MAPPED(&packet.remote);
	return policy_judge(&policy, &packet, now_ms);
}

static enum policy_verdict judge(const char *text, uint16_t port)
{
	return judge_at(text, IPPROTO_TCP, port, 0);
}

static const char *const never[] = {
	"127.0.0.1",
	"127.255.255.254",
	"0.0.0.0",
	"0.1.2.3",
	"192.168.127.2",
	"192.168.127.0",
	"192.168.127.3",
	"192.168.127.255",
	"224.0.0.1",
	"255.255.255.255",
	"240.1.1.1",
	"::",
	"::1",
	"::127.0.0.1",
	"ff02::1",
	"fec0::1",
	"fd00:6b72:756e::2",
	"fd00:6b72:756e::3",
	"64:ff9b::169.254.169.254",
	"64:ff9b::127.0.0.1",
	"2002:7f00:1::1",
	"2002:a9fe:a9fe::1",
	"64:ff9b:1::1",
	"2001:0:1::1",
};

static const char *const closed[] = {
	"192.168.127.254", "169.254.0.1",  "169.254.169.254", "100.100.100.200", "168.63.129.16",
	"fd00:ec2::254",   "fd20:ce::254", "fe80::1",         "febf::1",
};

static const char *const open_everywhere[] = {
	"203.0.113.5",          "10.1.2.3",        "192.168.1.1", "192.168.126.255",
	"192.168.128.0",        "100.100.100.201", "2001:db8::1", "fd00:6b72:756f::1",
	"64:ff9b::203.0.113.5", "223.255.255.255", "1.0.0.0",     "128.0.0.0",
	"169.253.255.255",      "169.255.0.0",     "fd01::1",
};

static void without_a_list_the_internet_is_reachable(void **state)
{
	(void)state;
	set_list(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(open_everywhere); i++)
		assert_int_equal(judge(open_everywhere[i], 443), POLICY_ALLOW);
}

static void without_a_list_special_addresses_are_closed(void **state)
{
	(void)state;
	set_list(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		assert_int_equal(judge(never[i], 443), POLICY_REFUSE);
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++)
		assert_int_equal(judge(closed[i], 80), POLICY_REFUSE);
}

static void an_empty_list_refuses_everything(void **state)
{
	(void)state;
	SET_EMPTY_LIST();
	for (size_t i = 0; i < ARRAY_SIZE(open_everywhere); i++)
		assert_int_equal(judge(open_everywhere[i], 443), POLICY_REFUSE);
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		assert_int_equal(judge(never[i], 443), POLICY_REFUSE);
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++)
		assert_int_equal(judge(closed[i], 443), POLICY_REFUSE);
	assert_false(policy_allows_name(&policy, "example.org"));
}

/* A list must not be reachable around through the host's alias or metadata. */
static void a_wide_rule_does_not_open_special_addresses(void **state)
{
	(void)state;
	SET_LIST("0.0.0.0/0", "::/0");
	for (size_t i = 0; i < ARRAY_SIZE(open_everywhere); i++)
		assert_int_equal(judge(open_everywhere[i], 443), POLICY_ALLOW);
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		assert_int_equal(judge(never[i], 443), POLICY_REFUSE);
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++)
		assert_int_equal(judge(closed[i], 443), POLICY_REFUSE);
}

static void a_closed_address_opens_to_its_own_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		char rule[64];

		strcpy(rule, closed[i]);
		SET_LIST(rule);
		assert_int_equal(judge(closed[i], 443), POLICY_ALLOW);
	}
	SET_LIST("169.254.0.0/16");
	assert_int_equal(judge("169.254.169.254", 80), POLICY_ALLOW);
	SET_LIST("192.168.127.254:8080");
	assert_int_equal(judge("192.168.127.254", 8080), POLICY_ALLOW);
	assert_int_equal(judge("192.168.127.254", 22), POLICY_REFUSE);
	SET_LIST("192.168.127.0/24");
	assert_int_equal(judge("192.168.127.254", 8080), POLICY_REFUSE);
}

static void what_never_opens_never_opens(void **state)
{
	(void)state;
	SET_LIST("127.0.0.1", "::1", "0.0.0.0", "192.168.127.0/24", "192.168.127.1");
	assert_int_equal(judge("127.0.0.1", 80), POLICY_REFUSE);
	assert_int_equal(judge("::1", 80), POLICY_REFUSE);
	assert_int_equal(judge("0.0.0.0", 80), POLICY_REFUSE);
	assert_int_equal(judge("192.168.127.3", 80), POLICY_REFUSE);
	assert_int_equal(judge("192.168.127.1", 80), POLICY_REFUSE);
}

static void rules_match_address_and_port(void **state)
{
	(void)state;
	SET_LIST("10.0.0.0/8", "203.0.113.5:443", "2001:db8::/32", "[2001:db9::1]:53");
	assert_int_equal(judge("10.255.1.2", 1), POLICY_ALLOW);
	assert_int_equal(judge("11.0.0.1", 1), POLICY_REFUSE);
	assert_int_equal(judge("203.0.113.5", 443), POLICY_ALLOW);
	assert_int_equal(judge("203.0.113.5", 80), POLICY_REFUSE);
	assert_int_equal(judge("203.0.113.6", 443), POLICY_REFUSE);
	assert_int_equal(judge("2001:db8:ffff::1", 9), POLICY_ALLOW);
	assert_int_equal(judge("2001:db9::1", 53), POLICY_ALLOW);
	assert_int_equal(judge("2001:db9::1", 54), POLICY_REFUSE);
	/* NAT64 and 6to4 lead to IPv4, but not around an IPv4 rule's absence. */
	assert_int_equal(judge("64:ff9b::8.8.8.8", 443), POLICY_REFUSE);
}

static void a_ping_has_no_port(void **state)
{
	(void)state;
	SET_LIST("10.0.0.0/8", "203.0.113.5:443");
	assert_int_equal(judge_at("10.0.0.1", IPPROTO_ICMP, 0, 0), POLICY_ALLOW);
	assert_int_equal(judge_at("203.0.113.5", IPPROTO_ICMP, 0, 0), POLICY_REFUSE);
}

static void the_gateway_is_a_resolver_and_no_more(void **state)
{
	static const char *const gateways[] = {"192.168.127.1", "fd00:6b72:756e::1"};
	(void)state;
	for (int with_list = 0; with_list < 2; with_list++) {
		if (with_list)
			SET_EMPTY_LIST();
		else
			set_list(NULL);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(judge_at(gateways[i], IPPROTO_UDP, 53, 0), POLICY_DNS);
			assert_int_equal(judge_at(gateways[i], IPPROTO_TCP, 53, 0), POLICY_DNS);
			assert_int_equal(judge_at(gateways[i], IPPROTO_TCP, 22, 0), POLICY_REFUSE);
			assert_int_equal(judge_at(gateways[i], IPPROTO_UDP, 123, 0), POLICY_REFUSE);
		}
		assert_int_equal(judge_at("192.168.127.1", IPPROTO_ICMP, 0, 0), POLICY_ALLOW);
	}
}

/* Docker's and others' lists were reached around by asking any other resolver. */
static void other_resolvers_are_refused_with_a_list(void **state)
{
	(void)state;
	SET_LIST("example.org");
	assert_int_equal(judge_at("8.8.8.8", IPPROTO_UDP, 53, 0), POLICY_REFUSE);
	assert_int_equal(judge_at("8.8.8.8", IPPROTO_TCP, 853, 0), POLICY_REFUSE);
}

static void names_are_allowed_by_rules(void **state)
{
	(void)state;
	SET_LIST("example.org", "*.example.net:443", "10.0.0.0/8");
	assert_true(policy_allows_name(&policy, "example.org"));
	assert_false(policy_allows_name(&policy, "www.example.org"));
	assert_false(policy_allows_name(&policy, "notexample.org"));
	assert_true(policy_allows_name(&policy, "a.b.example.net"));
	assert_false(policy_allows_name(&policy, "example.net"));
	assert_false(policy_allows_name(&policy, "example.net.evil.com"));
	assert_false(policy_allows_name(&policy, ""));
	set_list(NULL);
	assert_true(policy_allows_name(&policy, "anything.at.all"));
}

static void pin(const char *name, const char *text, uint32_t ttl_s)
{
	struct in6_addr address = address_of(text);

	policy_pin_address(&policy, name, &address, ttl_s, 0);
}

static void an_answer_opens_its_address_for_its_time(void **state)
{
	const int64_t end_ms = (300 + POLICY_GRACE_S) * 1000;
	(void)state;
	SET_LIST("example.org", "*.example.net:443");
	assert_int_equal(judge("203.0.113.5", 80), POLICY_REFUSE);
	pin("example.org", "203.0.113.5", 300);
	assert_int_equal(judge_at("203.0.113.5", IPPROTO_TCP, 80, end_ms - 1), POLICY_ALLOW);
	assert_int_equal(judge_at("203.0.113.5", IPPROTO_TCP, 80, end_ms), POLICY_REFUSE);
	assert_int_equal(judge("203.0.113.6", 80), POLICY_REFUSE);
	/* On the ports of the name's rule. */
	pin("a.example.net", "2001:db8::7", 300);
	assert_int_equal(judge("2001:db8::7", 443), POLICY_ALLOW);
	assert_int_equal(judge("2001:db8::7", 80), POLICY_REFUSE);
}

static void times_to_live_have_bounds(void **state)
{
	int64_t least_ms = (POLICY_TTL_S_MIN + POLICY_GRACE_S) * 1000;
	int64_t most_ms = (POLICY_TTL_S_MAX + POLICY_GRACE_S) * 1000;
	(void)state;
	SET_LIST("example.org");
	pin("example.org", "203.0.113.5", 0);
	assert_int_equal(judge_at("203.0.113.5", IPPROTO_TCP, 80, least_ms - 1), POLICY_ALLOW);
	assert_int_equal(judge_at("203.0.113.5", IPPROTO_TCP, 80, least_ms), POLICY_REFUSE);
	pin("example.org", "203.0.113.6", UINT32_MAX);
	assert_int_equal(judge_at("203.0.113.6", IPPROTO_TCP, 80, most_ms - 1), POLICY_ALLOW);
	assert_int_equal(judge_at("203.0.113.6", IPPROTO_TCP, 80, most_ms), POLICY_REFUSE);
	/* A shorter answer later takes nothing away. */
	pin("example.org", "203.0.113.6", 0);
	assert_int_equal(judge_at("203.0.113.6", IPPROTO_TCP, 80, most_ms - 1), POLICY_ALLOW);
}

/* A name's owner must not open the host by answering with its address. */
static void answers_do_not_open_special_addresses(void **state)
{
	(void)state;
	SET_LIST("example.org");
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		pin("example.org", never[i], 300);
		assert_int_equal(judge(never[i], 80), POLICY_REFUSE);
	}
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		pin("example.org", closed[i], 300);
		assert_int_equal(judge(closed[i], 80), POLICY_REFUSE);
	}
	assert_int_equal(policy.pin_count, 0);
}

static void pins_are_bounded(void **state)
{
	char text[32];
	(void)state;
	SET_LIST("example.org");
	for (int i = 0; i < 3 * POLICY_PINS_MAX; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		pin("example.org", text, 300 + (uint32_t)i);
		assert_int_equal(judge(text, 80), POLICY_ALLOW);
	}
	assert_int_equal(policy.pin_count, POLICY_PINS_MAX);
	assert_int_equal(judge("10.0.0.0", 80), POLICY_REFUSE);
}

static void a_bad_rule_is_named(void **state)
{
	struct err err = {0};
	const char *const rules[] = {"10.0.0.0/8", "not a rule", NULL};
	(void)state;
	assert_int_equal(policy_init(&policy, (char *const *)rules, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a rule"));
}

#define T(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_a_list_the_internet_is_reachable),
		T(without_a_list_special_addresses_are_closed),
		T(an_empty_list_refuses_everything),
		T(a_wide_rule_does_not_open_special_addresses),
		T(a_closed_address_opens_to_its_own_name),
		T(what_never_opens_never_opens),
		T(rules_match_address_and_port),
		T(a_ping_has_no_port),
		T(the_gateway_is_a_resolver_and_no_more),
		T(other_resolvers_are_refused_with_a_list),
		T(names_are_allowed_by_rules),
		T(an_answer_opens_its_address_for_its_time),
		T(times_to_live_have_bounds),
		T(answers_do_not_open_special_addresses),
		T(pins_are_bounded),
		T(a_bad_rule_is_named),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
