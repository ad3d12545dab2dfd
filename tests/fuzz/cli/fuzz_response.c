/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server answers. However it arrives, in one piece or byte by byte, it must be read the same;
 * nothing of a body is seen before the head, and no more body than there were bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../../src/cli/http_response.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	unsigned status;
	size_t body_bytes;
	uint32_t body_sum;
	int outcome;
	size_t used;
};

static void see_head(void *user, unsigned status)
{
	struct seen *seen = user;

	if (seen->status != 0 || status < 101 || status > 999)
		abort();
	seen->status = status;
}

static int see_body(void *user, const char *data, size_t length)
{
	struct seen *seen = user;

	if (seen->status == 0)
		abort();
	for (size_t i = 0; i < length; i++)
		seen->body_sum = seen->body_sum * 31 + (unsigned char)data[i];
	seen->body_bytes += length;
	return 0;
}

static const struct http_response_events events = {.on_head = see_head, .on_body = see_body};

static struct seen read_by(const uint8_t *data, size_t size, size_t step)
{
	struct http_response response;
	struct seen seen = {0};

	http_response_init(&response, &events, &seen);
	while (seen.outcome == HTTP_RESPONSE_MORE && seen.used < size) {
		size_t used = 0, piece = MIN(step, size - seen.used);

		seen.outcome =
			http_response_feed(&response, (const char *)data + seen.used, piece, &used);
		if (used > piece)
			abort();
		seen.used += used;
	}
	if (seen.outcome == HTTP_RESPONSE_MORE)
		seen.outcome = http_response_end(&response);
	if (seen.outcome == HTTP_RESPONSE_COMPLETE && seen.status == 0)
		abort();
	for (int i = 0; i < HTTP_RESPONSE_HEADER_COUNT; i++) {
		if (memchr(response.values[i], '\0', HTTP_RESPONSE_VALUE_BYTES) == NULL)
			abort();
	}
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = read_by(data, size, size), bytes = read_by(data, size, 1);

	if (whole.body_bytes > size)
		abort();
	if (whole.outcome != bytes.outcome)
		abort();
	if (whole.outcome == HTTP_RESPONSE_COMPLETE &&
	    (whole.status != bytes.status || whole.body_bytes != bytes.body_bytes ||
	     whole.body_sum != bytes.body_sum || whole.used != bytes.used))
		abort();
	return 0;
}
