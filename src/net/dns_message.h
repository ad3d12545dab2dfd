/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages (RFC 1035, RFC 6891): reading a question and the addresses of an answer, writing
 * questions and refusals. Pure: no I/O, no allocation.
 */
#ifndef NET_DNS_MESSAGE_H
#define NET_DNS_MESSAGE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEAD_BYTES      12
#define DNS_NAME_BYTES_MAX  255 /* on the wire */
#define DNS_QUERY_BYTES_MAX (DNS_HEAD_BYTES + DNS_NAME_BYTES_MAX + 4 + 11 + 8)
#define DNS_UDP_BYTES       512 /* of an answer for who says nothing else */

#define DNS_TYPE_A    1
#define DNS_TYPE_AAAA 28
#define DNS_TYPE_OPT  41
#define DNS_CLASS_IN  1

enum dns_rcode {
	DNS_RCODE_OK = 0,
	DNS_RCODE_FORMAT = 1,
	DNS_RCODE_SERVER_FAILURE = 2,
	DNS_RCODE_NOT_IMPLEMENTED = 4,
	DNS_RCODE_REFUSED = 5,
};

struct dns_question {
	uint16_t id;
	uint16_t type, class;
	uint8_t flags; /* the first flag byte as asked: "recursion desired" is kept */
	bool checking_disabled;
	bool has_edns, wants_dnssec;
	uint16_t udp_bytes; /* what the asker takes */
	uint8_t wire_name[DNS_NAME_BYTES_MAX];
	size_t wire_name_bytes;
	char name[DNS_NAME_BYTES_MAX + 1]; /* lower case, dots, no final one; "" for the root */
};

/*
 * Reads a query. 0; a positive enum dns_rcode with which it is to be answered (`ret_question` holds
 * what an answer needs); -EBADMSG when it deserves none (too short, an answer itself). Names with
 * bytes that could make two names look alike in text (dots in a label, blanks, NUL) are refused.
 */
int dns_question_read(const uint8_t *message, size_t length, struct dns_question *ret_question);

/* The question as this resolver asks it, under the given id. Returns its length. */
size_t dns_question_write(const struct dns_question *question, uint16_t id,
			  uint8_t ret_message[DNS_QUERY_BYTES_MAX]);

/*
 * An answer without records; its code. REFUSED carries the extended error "prohibited" (RFC 8914)
 * where the asker understands it. Returns its length.
 */
size_t dns_refusal_write(const struct dns_question *question, enum dns_rcode rcode,
			 uint8_t ret_message[DNS_QUERY_BYTES_MAX]);

/* Is this an answer to the question that was asked under `id`? */
bool dns_answer_matches(const uint8_t *message, size_t length, const struct dns_question *question,
			uint16_t id);

typedef void (*dns_address_fn)(const struct in6_addr *address, uint32_t ttl_s, void *opaque);

/*
 * Walks the answer section of a matching answer: each address is reported (IPv4 as ::ffff:a.b.c.d)
 * and each time to live above `ttl_s_max` is brought down to it, in place. -EBADMSG when the section
 * is malformed; addresses in front of the place were reported by then.
 */
int dns_answer_walk(uint8_t *message, size_t length, uint32_t ttl_s_max, dns_address_fn report,
		    void *opaque);

#endif
