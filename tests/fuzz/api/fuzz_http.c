/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as requests. The first byte says in which pieces they come: the same events must follow
 * whatever the pieces.
 */
#include "http_parser.c"

#include <assert.h>
#include <stdlib.h>

struct seen {
	size_t heads, body_bytes, complete;
	int outcome;
};

static void see_head(void *user, const struct http_head *head)
{
	struct seen *seen = user;

	seen->heads++;
	assert(strlen(head->target) <= HTTP_TARGET_BYTES_MAX);
	for (int i = 0; i < HTTP_HEADER_COUNT; i++)
		assert(head->headers[i] == NULL ||
		       strlen(head->headers[i]) <= 2 * HTTP_HEADER_VALUE_BYTES_MAX);
	assert(!head->chunked || head->has_body);
}

static void see_body(void *user, const char *data, size_t length)
{
	((struct seen *)user)->body_bytes += length;
}

static void feed_all(const uint8_t *data, size_t size, size_t piece, struct seen *seen)
{
	static const struct http_events events = {.on_head = see_head, .on_body = see_body};
	struct http_parser parser;
	size_t at = 0;

	*seen = (struct seen){0};
	http_parser_init(&parser, &events, seen);
	while (at < size && seen->outcome >= 0) {
		/* A copy of its own, so that a read behind a piece is seen. */
		size_t length = MIN(piece, size - at), used = 0;
		char *copy = malloc(length);

		memcpy(copy, data + at, length);
		seen->outcome = http_parser_feed(&parser, copy, length, &used);
		assert(used <= length && (used > 0 || seen->outcome < 0));
		seen->complete += seen->outcome == HTTP_FEED_COMPLETE;
		at += used;
		free(copy);
	}
	if (seen->outcome < 0)
		assert(http_parser_reason(&parser) != NULL);
	http_parser_done(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole, pieces;

	if (size < 1)
		return 0;
	feed_all(data + 1, size - 1, size, &whole);
	feed_all(data + 1, size - 1, 1 + data[0] % 16, &pieces);
	assert(whole.complete == pieces.complete && whole.body_bytes == pieces.body_bytes);
	assert(whole.outcome == pieces.outcome || whole.outcome >= 0);
	return 0;
}
