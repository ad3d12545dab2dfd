/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_message.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "packet.h"

/* The head: id, two flag bytes, four counts. */
#define FLAGS_AT      2
#define CODES_AT      3
#define QUESTIONS_AT  4
#define ANSWERS_AT    6
#define AUTHORITY_AT  8
#define ADDITIONAL_AT 10

#define FLAG_ANSWER    0x80
#define FLAG_OPCODE    0x78
#define FLAG_RECURSION 0x01 /* desired */
#define CODE_AVAILABLE 0x80 /* recursion */
#define CODE_CHECKING  0x10 /* disabled */

#define LABEL_BYTES_MAX   63
#define RECORD_HEAD_BYTES 10 /* type, class, time to live, length */
#define OPT_DNSSEC_OK     0x8000

/* What is asked for when the asker knows EDNS: fits into one packet everywhere. */
#define UDP_BYTES_MAX 4096
#define UDP_BYTES_OWN 1232

#define OPTION_EXTENDED_ERROR 15
#define EXTENDED_PROHIBITED   18

static bool is_plain(uint8_t c)
{
	return c > ' ' && c < 0x7f && c != '.' && c != '\\';
}

/* Appends a label to the text of the name. */
static int add_label(struct dns_question *question, size_t *at, const uint8_t *label, size_t length)
{
	if (*at > 0)
		question->name[(*at)++] = '.';
	for (size_t i = 0; i < length; i++) {
		if (!is_plain(label[i]))
			return -EBADMSG;
		question->name[(*at)++] = (char)tolower(label[i]);
	}
	question->name[*at] = '\0';
	return 0;
}

/* Reads the question's name; a question has nothing before it that a pointer could lead to. */
static int read_name(const uint8_t *message, size_t length, struct dns_question *question)
{
	size_t at = DNS_HEAD_BYTES, text_at = 0;
	bool plain = true;

	for (;;) {
		size_t label;

		if (at >= length)
			return -EBADMSG;
		label = message[at];
		if (label > LABEL_BYTES_MAX || at + 1 + label > length ||
		    at + 1 + label - DNS_HEAD_BYTES > DNS_NAME_BYTES_MAX)
			return -EBADMSG;
		at++;
		if (label == 0)
			break;
		if (add_label(question, &text_at, message + at, label) < 0)
			plain = false;
		at += label;
	}
	question->wire_name_bytes = at - DNS_HEAD_BYTES;
	memcpy(question->wire_name, message + DNS_HEAD_BYTES, question->wire_name_bytes);
	return plain ? 0 : DNS_RCODE_REFUSED;
}

/* The OPT record, which is what the additional section of a query may hold. */
static int read_opt(const uint8_t *message, size_t length, size_t at, struct dns_question *question)
{
	const uint8_t *record = message + at;

	if (length - at < 1 + RECORD_HEAD_BYTES || record[0] != 0 ||
	    get_be16(record + 1) != DNS_TYPE_OPT)
		return DNS_RCODE_OK;
	question->has_edns = true;
	question->udp_bytes = get_be16(record + 3);
	if (question->udp_bytes < DNS_UDP_BYTES)
		question->udp_bytes = DNS_UDP_BYTES;
	if (question->udp_bytes > UDP_BYTES_MAX)
		question->udp_bytes = UDP_BYTES_MAX;
	question->wants_dnssec = (get_be16(record + 7) & OPT_DNSSEC_OK) != 0;
	return DNS_RCODE_OK;
}

int dns_question_read(const uint8_t *message, size_t length, struct dns_question *ret_question)
{
	size_t end;
	int r;

	*ret_question = (struct dns_question){.udp_bytes = DNS_UDP_BYTES};
	if (length < DNS_HEAD_BYTES || (message[FLAGS_AT] & FLAG_ANSWER) != 0)
		return -EBADMSG;
	ret_question->id = get_be16(message);
	ret_question->flags = message[FLAGS_AT] & (FLAG_OPCODE | FLAG_RECURSION);
	ret_question->checking_disabled = (message[CODES_AT] & CODE_CHECKING) != 0;
	if ((message[FLAGS_AT] & FLAG_OPCODE) != 0)
		return DNS_RCODE_NOT_IMPLEMENTED;
	if (get_be16(message + QUESTIONS_AT) != 1)
		return DNS_RCODE_FORMAT;
	r = read_name(message, length, ret_question);
	end = DNS_HEAD_BYTES + ret_question->wire_name_bytes;
	if (r < 0 || length - end < 4) {
		ret_question->wire_name_bytes = 0;
		return DNS_RCODE_FORMAT;
	}
	ret_question->type = get_be16(message + end);
	ret_question->class = get_be16(message + end + 2);
	if (r > 0)
		return r;
	if (ret_question->class != DNS_CLASS_IN)
		return DNS_RCODE_REFUSED;
	if (get_be16(message + ADDITIONAL_AT) == 0)
		return DNS_RCODE_OK;
	return read_opt(message, length, end + 4, ret_question);
}

/* Head and question; the counts of the other sections are 0. */
static size_t write_front(const struct dns_question *question, uint16_t id, uint8_t *message)
{
	size_t at = DNS_HEAD_BYTES;

	memset(message, 0, DNS_HEAD_BYTES);
	put_be16(message, id);
	message[FLAGS_AT] = question->flags;
	if (question->wire_name_bytes == 0)
		return at;
	put_be16(message + QUESTIONS_AT, 1);
	memcpy(message + at, question->wire_name, question->wire_name_bytes);
	at += question->wire_name_bytes;
	put_be16(message + at, question->type);
	put_be16(message + at + 2, question->class);
	return at + 4;
}

static size_t write_opt(const struct dns_question *question, uint16_t udp_bytes, uint8_t *message,
			size_t at)
{
	uint8_t *record = message + at;

	put_be16(message + ADDITIONAL_AT, 1);
	memset(record, 0, 1 + RECORD_HEAD_BYTES);
	put_be16(record + 1, DNS_TYPE_OPT);
	put_be16(record + 3, udp_bytes);
	put_be16(record + 7, question->wants_dnssec ? OPT_DNSSEC_OK : 0);
	return at + 1 + RECORD_HEAD_BYTES;
}

size_t dns_question_write(const struct dns_question *question, uint16_t id,
			  uint8_t ret_message[DNS_QUERY_BYTES_MAX])
{
	size_t at = write_front(question, id, ret_message);

	if (question->checking_disabled)
		ret_message[CODES_AT] |= CODE_CHECKING;
	if (question->has_edns)
		at = write_opt(question, question->udp_bytes, ret_message, at);
	return at;
}

size_t dns_refusal_write(const struct dns_question *question, enum dns_rcode rcode,
			 uint8_t ret_message[DNS_QUERY_BYTES_MAX])
{
	size_t at = write_front(question, question->id, ret_message);

	ret_message[FLAGS_AT] |= FLAG_ANSWER;
	ret_message[CODES_AT] = (uint8_t)(CODE_AVAILABLE | rcode);
	if (!question->has_edns)
		return at;
	at = write_opt(question, UDP_BYTES_OWN, ret_message, at);
	if (rcode == DNS_RCODE_REFUSED) {
		put_be16(ret_message + at - 2, 6);
		put_be16(ret_message + at, OPTION_EXTENDED_ERROR);
		put_be16(ret_message + at + 2, 2);
		put_be16(ret_message + at + 4, EXTENDED_PROHIBITED);
		at += 6;
	}
	return at;
}

static bool is_same_name(const uint8_t *a, const uint8_t *b, size_t length)
{
	/* Lengths of labels are below 64: tolower() leaves them alone. */
	for (size_t i = 0; i < length; i++) {
		if (tolower(a[i]) != tolower(b[i]))
			return false;
	}
	return true;
}

bool dns_answer_matches(const uint8_t *message, size_t length, const struct dns_question *question,
			uint16_t id)
{
	size_t end = DNS_HEAD_BYTES + question->wire_name_bytes;

	return length >= end + 4 && get_be16(message) == id &&
	       (message[FLAGS_AT] & (FLAG_ANSWER | FLAG_OPCODE)) == FLAG_ANSWER &&
	       get_be16(message + QUESTIONS_AT) == 1 &&
	       is_same_name(message + DNS_HEAD_BYTES, question->wire_name,
			    question->wire_name_bytes) &&
	       get_be16(message + end) == question->type &&
	       get_be16(message + end + 2) == question->class;
}

/* Moves behind a name: labels up to a zero or a pointer, which is not followed. */
static int skip_name(const uint8_t *message, size_t length, size_t *at)
{
	while (*at < length) {
		uint8_t label = message[*at];

		if ((label & 0xc0) == 0xc0) {
			*at += 2;
			return *at <= length ? 0 : -EBADMSG;
		}
		if (label > LABEL_BYTES_MAX)
			return -EBADMSG;
		*at += 1 + (size_t)label;
		if (label == 0)
			return 0;
	}
	return -EBADMSG;
}

static void report_record(const uint8_t *record, size_t bytes, uint32_t ttl_s,
			  dns_address_fn report, void *opaque)
{
	const uint8_t *data = record + RECORD_HEAD_BYTES;
	uint16_t type = get_be16(record);
	struct in6_addr address;

	if (get_be16(record + 2) != DNS_CLASS_IN)
		return;
	if (type == DNS_TYPE_A && bytes == 4) {
		address = address_from4(data);
		report(&address, ttl_s, opaque);
	} else if (type == DNS_TYPE_AAAA && bytes == 16) {
		memcpy(&address, data, 16);
		/* An IPv4 address is an A record's business. */
		if (!IN6_IS_ADDR_V4MAPPED(&address))
			report(&address, ttl_s, opaque);
	}
}

int dns_answer_walk(uint8_t *message, size_t length, uint32_t ttl_s_max, dns_address_fn report,
		    void *opaque)
{
	size_t at = DNS_HEAD_BYTES;
	uint16_t count;

	if (length < DNS_HEAD_BYTES || get_be16(message + QUESTIONS_AT) != 1)
		return -EBADMSG;
	if (skip_name(message, length, &at) < 0 || length - at < 4)
		return -EBADMSG;
	at += 4;
	/* Each record takes bytes of the message, so the count needs no bound of its own. */
	for (count = get_be16(message + ANSWERS_AT); count > 0; count--) {
		uint8_t *record;
		uint32_t ttl_s;
		size_t bytes;

		if (skip_name(message, length, &at) < 0 || length - at < RECORD_HEAD_BYTES)
			return -EBADMSG;
		record = message + at;
		bytes = get_be16(record + 8);
		if (length - at - RECORD_HEAD_BYTES < bytes)
			return -EBADMSG;
		ttl_s = get_be32(record + 4);
		if (ttl_s > ttl_s_max) {
			ttl_s = ttl_s_max;
			put_be32(record + 4, ttl_s);
		}
		report_record(record, bytes, ttl_s, report, opaque);
		at += RECORD_HEAD_BYTES + bytes;
	}
	return 0;
}
