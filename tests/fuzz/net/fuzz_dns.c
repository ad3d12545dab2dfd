/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages: the input as a guest's question, and as a resolver's answer to it. A question that
 * is taken must be the same when it is asked anew and read back.
 */
#include "dns_message.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool true_for_all)
{
	if (!true_for_all)
		abort();
}

static void count_address(const struct in6_addr *address, uint32_t ttl_s, void *opaque)
{
	size_t *count = opaque;

	require(ttl_s <= 3600);
	(*count)++;
}

static void try_question(const uint8_t *message, size_t size)
{
	struct dns_question question, again;
	uint8_t out[DNS_QUERY_BYTES_MAX];
	int r = dns_question_read(message, size, &question);
	size_t length;

	if (r < 0)
		return;
	require(strlen(question.name) <= DNS_NAME_BYTES_MAX);
	length = dns_refusal_write(&question, DNS_RCODE_REFUSED, out);
	require(length <= sizeof(out));
	if (r > 0)
		return;
	require(dns_answer_matches(out, length, &question, question.id));
	length = dns_question_write(&question, question.id, out);
	require(length <= sizeof(out));
	require(dns_question_read(out, length, &again) == 0);
	require(strcmp(question.name, again.name) == 0 && question.type == again.type);
	require(question.has_edns == again.has_edns && question.udp_bytes == again.udp_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *message = malloc(size > 0 ? size : 1);
	struct dns_question question = {0};
	size_t count = 0;

	require(message != NULL);
	if (size > 0)
		memcpy(message, data, size);
	try_question(message, size);
	if (dns_question_read(message, size, &question) == 0)
		(void)dns_answer_matches(message, size, &question, question.id);
	(void)dns_answer_walk(message, size, 3600, count_address, &count);
	require(count * RECORD_HEAD_BYTES <= size);
	free(message);
	return 0;
}
