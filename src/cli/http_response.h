/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP/1.1 response from bytes: llhttp in its strict mode, with limits, and only the headers that
 * the command line looks at. Pure: it reads no descriptor.
 *
 * Life cycle: http_response_init, http_response_feed with what comes until it says
 * HTTP_RESPONSE_COMPLETE, http_response_end when the peer closes before that. Events come in order:
 * on_head once, then on_body for each piece, chunks already taken apart. Interim answers (100, 102,
 * 103) are skipped. After an error it must not be fed again. Nothing is allocated.
 */
#ifndef CLI_HTTP_RESPONSE_H
#define CLI_HTTP_RESPONSE_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macro.h"

#define HTTP_RESPONSE_HEAD_BYTES_MAX (64 * 1024) /* with those of interim answers and trailers */
#define HTTP_RESPONSE_HEADERS_MAX    128
#define HTTP_RESPONSE_VALUE_BYTES    128 /* of a header that is kept, with its NUL */

enum http_response_header {
	HTTP_RESPONSE_UPGRADE,
	HTTP_RESPONSE_WEBSOCKET_ACCEPT,
	HTTP_RESPONSE_WEBSOCKET_EXTENSIONS,
	HTTP_RESPONSE_HEADER_COUNT,
};

struct http_response_events {
	void (*on_head)(void *user, unsigned status);
	/* A negative errno breaks off: feed returns it. */
	int (*on_body)(void *user, const char *data, size_t length);
};

struct http_response {
	llhttp_t llhttp;
	const struct http_response_events *events;
	void *user;
	unsigned status; /* 0: the head has not come */
	/* "" where it is absent; a value that is too long is an error. */
	char values[HTTP_RESPONSE_HEADER_COUNT][HTTP_RESPONSE_VALUE_BYTES];
	char field[32]; /* name being read; longer ones are none of ours */
	size_t field_length;
	int known; /* enum http_response_header of it, -1: none of ours */
	size_t head_bytes;
	unsigned header_count;
	bool interim;
	int failure; /* why a callback stopped it */
};

#define HTTP_RESPONSE_MORE     0
#define HTTP_RESPONSE_COMPLETE 1

void http_response_init(struct http_response *response, const struct http_response_events *events,
			void *user);

/*
 * HTTP_RESPONSE_MORE; HTTP_RESPONSE_COMPLETE, having used `ret_used` bytes (what follows a 101 is
 * another protocol's); -EPROTO (not HTTP/1.x, or malformed), -E2BIG (head too large), or what
 * on_body returned.
 */
int http_response_feed(struct http_response *response, const char *data, size_t length,
		       size_t *ret_used) _must_check_;

/* The peer has closed: HTTP_RESPONSE_COMPLETE where that was the end, -ECONNRESET where it was not. */
int http_response_end(struct http_response *response) _must_check_;

#endif
