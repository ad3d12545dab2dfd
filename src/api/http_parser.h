/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 requests from bytes: llhttp in its strict mode, with limits, and only the headers that
 * this server looks at.
 *
 * Life cycle: http_parser_init, any number of http_parser_feed, http_parser_done. A feed gives the
 * events in order: on_head once a head is whole, on_body for each piece of its body; it returns
 * HTTP_FEED_COMPLETE at the end of a request and has then used only the bytes of that one. The next
 * feed begins the next request. After an error the parser must not be fed again.
 */
#ifndef API_HTTP_PARSER_H
#define API_HTTP_PARSER_H

#include <llhttp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "bounds.h"

enum http_method {
	HTTP_METHOD_GET,
	HTTP_METHOD_HEAD,
	HTTP_METHOD_POST,
	HTTP_METHOD_PUT,
	HTTP_METHOD_PATCH,
	HTTP_METHOD_DELETE,
	HTTP_METHOD_OTHER,
};

enum http_header {
	HTTP_HEADER_HOST,
	HTTP_HEADER_ORIGIN,
	HTTP_HEADER_AUTHORIZATION,
	HTTP_HEADER_CONTENT_TYPE,
	HTTP_HEADER_CONTENT_ENCODING,
	HTTP_HEADER_ACCEPT,
	HTTP_HEADER_EXPECT,
	HTTP_HEADER_UPGRADE,
	HTTP_HEADER_WEBSOCKET_KEY,
	HTTP_HEADER_WEBSOCKET_VERSION,
	HTTP_HEADER_LAST_EVENT_ID,
	HTTP_HEADER_IDEMPOTENCY_KEY,
	HTTP_HEADER_COUNT,
};

/* Strings live until the next request begins. */
struct http_head {
	enum http_method method;
	const char *target;
	const char *headers[HTTP_HEADER_COUNT]; /* NULL: absent */
	unsigned minor;                         /* HTTP/1.x */
	bool keep_alive;
	bool upgrade; /* Connection and Upgrade ask for another protocol */
	bool has_body;
	bool chunked;
	uint64_t content_length; /* 0 when chunked */
};

struct http_events {
	void (*on_head)(void *user, const struct http_head *head);
	void (*on_body)(void *user, const char *data, size_t length);
};

struct http_parser {
	llhttp_t llhttp;
	const struct http_events *events;
	void *user;
	struct http_head head;
	struct buf text;                         /* target and values, NUL after each */
	size_t target_bytes;                     /* of `text`, its NUL included */
	size_t value_at;                         /* where in `text` the value being read began */
	size_t value_offsets[HTTP_HEADER_COUNT]; /* offset + 1; 0: absent */
	size_t head_bytes;
	unsigned header_count;
	char field[24]; /* name being read; longer ones are none of ours */
	size_t field_length;
	int known;      /* enum http_header of it, -1: none of ours */
	bool head_done; /* the head of the current request is whole */
	bool begun;     /* a byte of the current request was seen */
	int failure;    /* why a callback stopped it */
};

#define HTTP_FEED_MORE     0
#define HTTP_FEED_COMPLETE 1

void http_parser_init(struct http_parser *parser, const struct http_events *events, void *user);
void http_parser_done(struct http_parser *parser);

/*
 * HTTP_FEED_MORE, HTTP_FEED_COMPLETE, or -EBADMSG (malformed), -E2BIG (head too large), -ENAMETOOLONG
 * (target too long).
 */
int http_parser_feed(struct http_parser *parser, const char *data, size_t length,
		     size_t *ret_used) _must_check_;

/* What was wrong, after -EBADMSG. */
const char *http_parser_reason(const struct http_parser *parser);

#endif
