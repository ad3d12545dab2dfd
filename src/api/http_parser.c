/* SPDX-License-Identifier: Apache-2.0 */
#include "http_parser.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const char *const header_names[] = {
	[HTTP_HEADER_HOST] = "host",
	[HTTP_HEADER_ORIGIN] = "origin",
	[HTTP_HEADER_AUTHORIZATION] = "authorization",
	[HTTP_HEADER_CONTENT_TYPE] = "content-type",
	[HTTP_HEADER_CONTENT_ENCODING] = "content-encoding",
	[HTTP_HEADER_ACCEPT] = "accept",
	[HTTP_HEADER_EXPECT] = "expect",
	[HTTP_HEADER_UPGRADE] = "upgrade",
	[HTTP_HEADER_WEBSOCKET_KEY] = "sec-websocket-key",
	[HTTP_HEADER_WEBSOCKET_VERSION] = "sec-websocket-version",
	[HTTP_HEADER_LAST_EVENT_ID] = "last-event-id",
	[HTTP_HEADER_IDEMPOTENCY_KEY] = "idempotency-key",
};
_Static_assert(ARRAY_SIZE(header_names) == HTTP_HEADER_COUNT, "a name for each header");

static const enum http_method methods[] = {
	[HTTP_GET] = HTTP_METHOD_GET,     [HTTP_HEAD] = HTTP_METHOD_HEAD,
	[HTTP_POST] = HTTP_METHOD_POST,   [HTTP_PUT] = HTTP_METHOD_PUT,
	[HTTP_PATCH] = HTTP_METHOD_PATCH, [HTTP_DELETE] = HTTP_METHOD_DELETE,
};

static int fail(struct http_parser *parser, int failure)
{
	parser->failure = failure;
	return HPE_USER;
}

static int count_bytes(struct http_parser *parser, size_t length)
{
	parser->head_bytes += length;
	return parser->head_bytes > HTTP_HEAD_BYTES_MAX ? fail(parser, -E2BIG) : 0;
}

static int append(struct http_parser *parser, const char *at, size_t length)
{
	return buf_append(&parser->text, at, length) < 0 ? fail(parser, -E2BIG) : 0;
}

static int on_begin(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;

	parser->head = (struct http_head){.method = HTTP_METHOD_OTHER};
	buf_clear(&parser->text);
	memset(parser->value_offsets, 0, sizeof(parser->value_offsets));
	parser->target_bytes = 0;
	parser->head_bytes = 0;
	parser->header_count = 0;
	parser->field_length = 0;
	parser->head_done = false;
	parser->begun = true;
	return 0;
}

static int on_url(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_parser *parser = llhttp->data;

	if (parser->text.length + length > HTTP_TARGET_BYTES_MAX)
		return fail(parser, -ENAMETOOLONG);
	return append(parser, at, length);
}

static int on_url_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;
	int r = append(parser, "", 1);

	parser->target_bytes = parser->text.length;
	return r;
}

static int on_field(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_parser *parser = llhttp->data;
	size_t room = sizeof(parser->field) - MIN(parser->field_length, sizeof(parser->field));

	memcpy(parser->field + sizeof(parser->field) - room, at, MIN(length, room));
	parser->field_length += length;
	return count_bytes(parser, length);
}

static int find_header(const struct http_parser *parser)
{
	for (int i = 0; i < HTTP_HEADER_COUNT; i++) {
		if (strlen(header_names[i]) == parser->field_length &&
		    strncasecmp(header_names[i], parser->field, parser->field_length) == 0)
			return i;
	}
	return -1;
}

static int on_field_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;

	/* Trailers behind a chunked body are counted and otherwise ignored. */
	parser->known = parser->head_done || parser->field_length > sizeof(parser->field)
				? -1
				: find_header(parser);
	parser->field_length = 0;
	parser->value_at = parser->text.length;
	if (++parser->header_count > HTTP_HEADERS_MAX)
		return fail(parser, -E2BIG);
	if (parser->known < 0)
		return 0;
	/* Two of these would let two readers see two different requests. */
	if (parser->value_offsets[parser->known] != 0 && parser->known != HTTP_HEADER_ACCEPT)
		return fail(parser, -EBADMSG);
	return 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_parser *parser = llhttp->data;

	if (parser->known >= 0) {
		if (parser->text.length - parser->value_at + length > HTTP_HEADER_VALUE_BYTES_MAX)
			return fail(parser, -E2BIG);
		if (append(parser, at, length) != 0)
			return HPE_USER;
	}
	return count_bytes(parser, length);
}

static int on_value_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;

	if (parser->known < 0)
		return 0;
	if (parser->value_offsets[parser->known] == 0)
		parser->value_offsets[parser->known] = parser->value_at + 1;
	return append(parser, "", 1);
}

static int on_headers_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;
	struct http_head *head = &parser->head;
	uint8_t method = llhttp_get_method(llhttp);

	/* llhttp also reads HTTP/0.9 and 2.0 request lines. */
	if (llhttp_get_http_major(llhttp) != 1 || llhttp_get_http_minor(llhttp) > 1)
		return fail(parser, -EBADMSG);
	/* GET is 1; DELETE, which is 0, cannot be told from a hole in the table. */
	head->method = method >= ARRAY_SIZE(methods) ? HTTP_METHOD_OTHER
		       : methods[method] == HTTP_METHOD_GET && method != HTTP_GET
			       ? HTTP_METHOD_OTHER
			       : methods[method];
	head->target = parser->text.data;
	for (int i = 0; i < HTTP_HEADER_COUNT; i++) {
		if (parser->value_offsets[i] != 0)
			head->headers[i] = parser->text.data + parser->value_offsets[i] - 1;
	}
	head->minor = llhttp_get_http_minor(llhttp);
	head->chunked = (llhttp->flags & F_CHUNKED) != 0;
	head->content_length = head->chunked ? 0 : llhttp->content_length;
	head->has_body = head->chunked || head->content_length > 0;
	/*
	 * Whether it is done is the handler's to say (connection.h); where it is not, what follows
	 * such a request would be read as something else.
	 */
	head->upgrade = llhttp->upgrade != 0 && head->method == HTTP_METHOD_GET && head->minor == 1;
	head->keep_alive = llhttp_should_keep_alive(llhttp) && !llhttp->upgrade;
	llhttp->upgrade = 0;
	parser->head_done = true;
	parser->events->on_head(parser->user, head);
	return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_parser *parser = llhttp->data;

	parser->events->on_body(parser->user, at, length);
	return 0;
}

static int on_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;

	parser->begun = false;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_url_complete = on_url_complete,
	.on_header_field = on_field,
	.on_header_field_complete = on_field_complete,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

void http_parser_init(struct http_parser *parser, const struct http_events *events, void *user)
{
	*parser = (struct http_parser){.events = events, .user = user};
	llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
	parser->llhttp.data = parser;
	buf_init(&parser->text, HTTP_HEAD_BYTES_MAX + HTTP_TARGET_BYTES_MAX);
}

void http_parser_done(struct http_parser *parser)
{
	buf_done(&parser->text);
}

int http_parser_feed(struct http_parser *parser, const char *data, size_t length, size_t *ret_used)
{
	llhttp_errno_t outcome = llhttp_execute(&parser->llhttp, data, length);

	if (outcome == HPE_OK) {
		*ret_used = length;
		return HTTP_FEED_MORE;
	}
	if (outcome == HPE_PAUSED || outcome == HPE_PAUSED_UPGRADE) {
		*ret_used = (size_t)(llhttp_get_error_pos(&parser->llhttp) - data);
		if (outcome == HPE_PAUSED)
			llhttp_resume(&parser->llhttp);
		else
			llhttp_resume_after_upgrade(&parser->llhttp);
		return HTTP_FEED_COMPLETE;
	}
	*ret_used = 0;
	return parser->failure < 0 ? parser->failure : -EBADMSG;
}

const char *http_parser_reason(const struct http_parser *parser)
{
	const char *reason = llhttp_get_error_reason(&parser->llhttp);

	if (parser->failure == -EBADMSG)
		return "a header that may stand once stands twice, or the version is not 1.0 or "
		       "1.1";
	return reason == NULL || *reason == '\0' ? "it ends too early" : reason;
}
