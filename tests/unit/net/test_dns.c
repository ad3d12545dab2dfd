/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages, and which resolvers there are. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/strv.h"
#include "dns_message.h"
#include "packet.h"
#include "resolv.h"

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

/* A query for example.org, A, "recursion desired". */
#define HEAD "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define NAME                                                                                       \
	"\x07"                                                                                     \
	"ExamPle"                                                                                  \
	"\x03"                                                                                     \
	"org"                                                                                      \
	"\x00"
#define QUERY HEAD NAME "\x00\x01\x00\x01"
#define QUERY_OPT                                                                                  \
	"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" NAME "\x00\x01\x00\x01"                 \
	"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00"
#define ANSWER_HEAD "\x12\x34\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00" NAME "\x00\x01\x00\x01"
#define ANSWER_A    "\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xcb\x00\x71\x05"
#define ANSWER_AAAA                                                                                \
	"\xc0\x0c\x00\x1c\x00\x01\xff\xff\xff\xff\x00\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0"   \
	"\x09"

static struct dns_question question;

/* In memory of exactly its length, so that a look behind it is seen by ASan. */
static int read_question(const uint8_t *bytes, size_t length)
{
	uint8_t *message = malloc(length > 0 ? length : 1);
	int r;

	assert_non_null(message);
	if (length > 0)
		memcpy(message, bytes, length);
	r = dns_question_read(message, length, &question);
	free(message);
	return r;
}

static void a_question_is_read(void **state)
{
	(void)state;
	assert_int_equal(read_question(BYTES(QUERY)), 0);
	assert_int_equal(question.id, 0x1234);
	assert_string_equal(question.name, "example.org");
	assert_int_equal(question.type, DNS_TYPE_A);
	assert_false(question.has_edns);
	assert_int_equal(question.udp_bytes, 512);
	assert_int_equal(read_question(BYTES(QUERY_OPT)), 0);
	assert_true(question.has_edns);
	assert_true(question.wants_dnssec);
	assert_int_equal(question.udp_bytes, 4096);
}

static void the_root_is_a_name(void **state)
{
	(void)state;
	assert_int_equal(read_question(BYTES(HEAD "\x00\x00\x02\x00\x01")), 0);
	assert_string_equal(question.name, "");
}

/* Nothing short passes for a question, and nothing behind the end is read. */
static void every_truncation_is_refused(void **state)
{
	(void)state;
	for (size_t length = 0; length < sizeof(QUERY) - 1; length++) {
		int r = read_question((const uint8_t *)QUERY, length);

		assert_int_equal(r, length < DNS_HEAD_BYTES ? -EBADMSG : DNS_RCODE_FORMAT);
	}
	/* A cut OPT record is none. */
	for (size_t length = sizeof(QUERY) - 1; length < sizeof(QUERY_OPT) - 1; length++) {
		assert_int_equal(read_question((const uint8_t *)QUERY_OPT, length), 0);
		assert_false(question.has_edns);
	}
}

static void what_is_no_question_gets_no_answer(void **state)
{
	(void)state;
	assert_int_equal(read_question(
				 BYTES("\x12\x34\x81\x00\x00\x01\0\0\0\0\0\0" NAME "\0\1\0\1")),
			 -EBADMSG);
}

static void odd_questions_get_a_code(void **state)
{
	(void)state;
	/* NOTIFY; two questions; none; class CHAOS. */
	assert_int_equal(read_question(BYTES("\1\1\x20\0\0\1\0\0\0\0\0\0" NAME "\0\1\0\1")),
			 DNS_RCODE_NOT_IMPLEMENTED);
	assert_int_equal(read_question(BYTES("\1\1\1\0\0\2\0\0\0\0\0\0" NAME "\0\1\0\1")),
			 DNS_RCODE_FORMAT);
	assert_int_equal(read_question(BYTES("\1\1\1\0\0\0\0\0\0\0\0\0" NAME "\0\1\0\1")),
			 DNS_RCODE_FORMAT);
	assert_int_equal(read_question(BYTES(HEAD NAME "\0\1\0\3")), DNS_RCODE_REFUSED);
	/* A pointer in a question; a label of 64; a name that never ends. */
	assert_int_equal(read_question(BYTES(HEAD "\xc0\x0c\0\1\0\1")), DNS_RCODE_FORMAT);
	assert_int_equal(read_question(BYTES(HEAD "\x40" NAME "\0\1\0\1")), DNS_RCODE_FORMAT);
	assert_int_equal(read_question(BYTES(HEAD "\1a\1a\1a\1a")), DNS_RCODE_FORMAT);
}

static void names_have_their_longest(void **state)
{
	uint8_t message[600] = HEAD;
	size_t at = DNS_HEAD_BYTES;
	(void)state;
	/* 3 * 64 + 62 + 1 = 255 bytes, the most there may be. */
	for (int i = 0; i < 4; i++) {
		size_t label = i < 3 ? 63 : 61;

		message[at++] = (uint8_t)label;
		memset(message + at, 'x', label);
		at += label;
	}
	memcpy(message + at, "\0\0\1\0\1", 5);
	assert_int_equal(read_question(message, at + 5), 0);
	assert_int_equal(question.wire_name_bytes, 255);
	assert_int_equal(strlen(question.name), 253);
	message[DNS_HEAD_BYTES + 3 * 64] = 62;
	message[at++] = 'x';
	memcpy(message + at, "\0\0\1\0\1", 5);
	assert_int_equal(read_question(message, at + 5), DNS_RCODE_FORMAT);
}

/* "evil.com\.example.org" as one label must not look like a name below example.org. */
static void names_that_look_like_others_are_refused(void **state)
{
	(void)state;
	assert_int_equal(read_question(BYTES(HEAD "\x0b"
						  "example.org"
						  "\0\0\1\0\1")),
			 DNS_RCODE_REFUSED);
	assert_int_equal(read_question(BYTES(HEAD "\x03"
						  "a\0b"
						  "\x03"
						  "org"
						  "\0\0\1\0\1")),
			 DNS_RCODE_REFUSED);
	assert_int_equal(read_question(BYTES(HEAD "\x03"
						  "a b"
						  "\x03"
						  "org"
						  "\0\0\1\0\1")),
			 DNS_RCODE_REFUSED);
	assert_int_equal(read_question(BYTES(HEAD "\x03"
						  "a\\b"
						  "\x03"
						  "org"
						  "\0\0\1\0\1")),
			 DNS_RCODE_REFUSED);
	assert_int_equal(read_question(BYTES(HEAD "\x05"
						  "_http"
						  "\x03"
						  "org"
						  "\0\0\1\0\1")),
			 0);
}

static void a_question_is_asked_anew(void **state)
{
	uint8_t message[DNS_QUERY_BYTES_MAX];
	size_t length;
	(void)state;
	assert_int_equal(read_question(BYTES(QUERY "smuggled")), 0);
	length = dns_question_write(&question, 0x1234, message);
	assert_int_equal(length, sizeof(QUERY) - 1);
	assert_memory_equal(message, QUERY, length);
	assert_int_equal(read_question(BYTES(QUERY_OPT)), 0);
	length = dns_question_write(&question, 0x1234, message);
	assert_int_equal(length, sizeof(QUERY_OPT) - 1);
	assert_memory_equal(message, QUERY_OPT, length);
}

static void a_refusal_says_why(void **state)
{
	uint8_t message[DNS_QUERY_BYTES_MAX];
	size_t length;
	(void)state;
	assert_int_equal(read_question(BYTES(QUERY)), 0);
	length = dns_refusal_write(&question, DNS_RCODE_REFUSED, message);
	assert_int_equal(length, sizeof(QUERY) - 1);
	assert_memory_equal(message, "\x12\x34\x81\x85", 4);
	assert_true(dns_answer_matches(message, length, &question, 0x1234));
	assert_int_equal(read_question(BYTES(QUERY_OPT)), 0);
	length = dns_refusal_write(&question, DNS_RCODE_REFUSED, message);
	assert_int_equal(length, sizeof(QUERY_OPT) - 1 + 6);
	assert_memory_equal(message + length - 8, "\0\6\0\x0f\0\2\0\x12", 8);
}

static void an_answer_must_be_of_its_question(void **state)
{
	uint8_t answer[] = ANSWER_HEAD ANSWER_A ANSWER_AAAA;
	size_t length = sizeof(answer) - 1;
	(void)state;
	assert_int_equal(read_question(BYTES(QUERY)), 0);
	assert_true(dns_answer_matches(answer, length, &question, 0x1234));
	assert_false(dns_answer_matches(answer, length, &question, 0x1235));
	assert_false(dns_answer_matches(answer, 20, &question, 0x1234));
	answer[DNS_HEAD_BYTES + 1] = 'X';
	assert_false(dns_answer_matches(answer, length, &question, 0x1234));
	answer[DNS_HEAD_BYTES + 1] = 'e'; /* the case does not matter */
	assert_true(dns_answer_matches(answer, length, &question, 0x1234));
	answer[2] = 0x01;
	assert_false(dns_answer_matches(answer, length, &question, 0x1234));
}

struct found {
	size_t count;
	struct in6_addr addresses[4];
	uint32_t ttls_s[4];
};

static void on_address(const struct in6_addr *address, uint32_t ttl_s, void *opaque)
{
	struct found *found = opaque;

	assert_true(found->count < 4);
	found->addresses[found->count] = *address;
	found->ttls_s[found->count++] = ttl_s;
}

static void addresses_of_an_answer_are_found(void **state)
{
	uint8_t answer[] = ANSWER_HEAD ANSWER_A ANSWER_AAAA;
	struct found found = {0};
	struct in6_addr wanted;
	(void)state;
	assert_int_equal(dns_answer_walk(answer, sizeof(answer) - 1, 3600, on_address, &found), 0);
	assert_int_equal(found.count, 2);
	inet_pton(AF_INET6, "::ffff:203.0.113.5", &wanted);
	assert_true(address_is_equal(&found.addresses[0], &wanted));
	assert_int_equal(found.ttls_s[0], 300);
	inet_pton(AF_INET6, "2001:db8::9", &wanted);
	assert_true(address_is_equal(&found.addresses[1], &wanted));
	/* Too long a life is cut in what the guest gets, too. */
	assert_int_equal(found.ttls_s[1], 3600);
	assert_int_equal(get_be32(answer + sizeof(answer) - 1 - 22), 3600);
}

static void odd_records_are_no_addresses(void **state)
{
	uint8_t cname[] = ANSWER_HEAD "\xc0\x0c\x00\x05\x00\x01\0\0\1\x2c\x00\x02\xc0\x0c" ANSWER_A;
	uint8_t chaos[] = ANSWER_HEAD "\xc0\x0c\x00\x01\x00\x03\0\0\1\x2c\x00\x04\1\2\3\4" ANSWER_A;
	uint8_t brief[] = ANSWER_HEAD "\xc0\x0c\x00\x01\x00\x01\0\0\1\x2c\x00\x03\1\2\3" ANSWER_A;
	uint8_t mapped[] = ANSWER_HEAD "\xc0\x0c\x00\x1c\x00\x01\0\0\0\0\x00\x10\0\0\0\0\0\0\0\0\0"
				       "\0\xff\xff\x7f\0\0\1" ANSWER_A;
	struct {
		uint8_t *bytes;
		size_t length;
	} answers[] = {{cname, sizeof(cname) - 1},
		       {chaos, sizeof(chaos) - 1},
		       {brief, sizeof(brief) - 1},
		       {mapped, sizeof(mapped) - 1}};
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct found found = {0};

		assert_int_equal(dns_answer_walk(answers[i].bytes, answers[i].length, 3600,
						 on_address, &found),
				 0);
		assert_int_equal(found.count, 1);
	}
}

static void every_cut_of_an_answer_is_malformed(void **state)
{
	static const uint8_t answer[] = ANSWER_HEAD ANSWER_A ANSWER_AAAA;
	(void)state;
	for (size_t length = 0; length < sizeof(answer) - 1; length++) {
		uint8_t *message = malloc(length > 0 ? length : 1);
		struct found found = {0};

		assert_non_null(message);
		memcpy(message, answer, length);
		assert_int_equal(dns_answer_walk(message, length, 3600, on_address, &found),
				 -EBADMSG);
		free(message);
	}
}

static void resolvers_are_read(void **state)
{
	char path[] = "/tmp/krun-net-test-XXXXXX";
	struct resolvers resolvers = {0};
	struct err err = {0};
	int fd = mkstemp(path);
	(void)state;
	assert_true(fd >= 0);
	dprintf(fd, "# comment\nsearch example.org\nnameserver\t203.0.113.1 # first\n;nameserver "
		    "1.1.1.1\n"
		    "nameserver nonsense\n nameserver 2001:db8::53\nnameserver "
		    "127.0.0.53\nnameserver 9.9.9.9");
	close(fd);
	assert_int_equal(resolvers_from_file(path, &resolvers, &err), 0);
	unlink(path);
	assert_int_equal(resolvers.count, 3);
	assert_int_equal(resolvers.items[0].ss_family, AF_INET);
	assert_int_equal(resolvers.items[1].ss_family, AF_INET6);
	assert_int_equal(ntohs(((struct sockaddr_in *)&resolvers.items[2])->sin_port), 53);
	assert_int_equal(resolvers_from_file(path, &resolvers, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
}

static void resolvers_may_be_given(void **state)
{
	const char *const good[] = {"203.0.113.1", "2001:db8::53", NULL},
			  *const bad[] = {"dns.example.org", NULL};
	const char *const many[] = {"1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", NULL};
	struct resolvers resolvers = {0};
	struct err err = {0};
	(void)state;
	assert_int_equal(resolvers_from_list((char *const *)good, &resolvers, &err), 0);
	assert_int_equal(resolvers.count, 2);
	assert_int_equal(resolvers_from_list((char *const *)bad, &resolvers, &err), -EINVAL);
	assert_non_null(strstr(err.text, "dns.example.org"));
	assert_int_equal(resolvers_from_list((char *const *)many, &resolvers, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_is_read),
		cmocka_unit_test(the_root_is_a_name),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(what_is_no_question_gets_no_answer),
		cmocka_unit_test(odd_questions_get_a_code),
		cmocka_unit_test(names_have_their_longest),
		cmocka_unit_test(names_that_look_like_others_are_refused),
		cmocka_unit_test(a_question_is_asked_anew),
		cmocka_unit_test(a_refusal_says_why),
		cmocka_unit_test(an_answer_must_be_of_its_question),
		cmocka_unit_test(addresses_of_an_answer_are_found),
		cmocka_unit_test(odd_records_are_no_addresses),
		cmocka_unit_test(every_cut_of_an_answer_is_malformed),
		cmocka_unit_test(resolvers_are_read),
		cmocka_unit_test(resolvers_may_be_given),
	};

	return cmocka_run_group_tests_name("dns", tests, NULL, NULL);
}
