/* SPDX-License-Identifier: Apache-2.0 */
#include "http_response.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const char *const header_names[] = {
	[HTTP_RESPONSE_UPGRADE] = "upgrade",
	[HTTP_RESPONSE_WEBSOCKET_ACCEPT] = "sec-websocket-accept",
	[HTTP_RESPONSE_WEBSOCKET_EXTENSIONS] = "sec-websocket-extensions",
};
_Static_assert(ARRAY_SIZE(header_names) == HTTP_RESPONSE_HEADER_COUNT, "a name for each header");

static int fail(struct http_response *response, int failure)
{
	response->failure = failure;
	return HPE_USER;
}

static int count_bytes(struct http_response *response, size_t length)
{
	response->head_bytes += length;
	return response->head_bytes > HTTP_RESPONSE_HEAD_BYTES_MAX ? fail(response, -E2BIG) : 0;
}

static int on_begin(llhttp_t *llhttp)
{
	struct http_response *response = llhttp->data;

	memset(response->values, 0, sizeof(response->values));
	response->field_length = 0;
	return 0;
}

static int on_status(llhttp_t *llhttp, const char *at, size_t length)
{
	return count_bytes(llhttp->data, length);
}

static int on_field(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_response *response = llhttp->data;
	size_t have = MIN(response->field_length, sizeof(response->field));

	memcpy(response->field + have, at, MIN(length, sizeof(response->field) - have));
	response->field_length += length;
	return count_bytes(response, length);
}

static int on_field_complete(llhttp_t *llhttp)
{
	struct http_response *response = llhttp->data;

	response->known = -1;
	/* Trailers behind a chunked body are counted and otherwise ignored. */
	for (int i = 0; i < HTTP_RESPONSE_HEADER_COUNT && response->status == 0; i++) {
		if (strlen(header_names[i]) == response->field_length &&
		    strncasecmp(header_names[i], response->field, response->field_length) == 0)
			response->known = i;
	}
	response->field_length = 0;
	if (response->known >= 0 && response->values[response->known][0] != '\0')
		return fail(response, -EPROTO);
	return ++response->header_count > HTTP_RESPONSE_HEADERS_MAX ? fail(response, -E2BIG) : 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_response *response = llhttp->data;

	if (response->known >= 0) {
		char *value = response->values[response->known];
		size_t have = strlen(value);

		if (length >= HTTP_RESPONSE_VALUE_BYTES - have || memchr(at, '\0', length) != NULL)
			return fail(response, -E2BIG);
		memcpy(value + have, at, length);
	}
	return count_bytes(response, length);
}

static int on_headers_complete(llhttp_t *llhttp)
{
	struct http_response *response = llhttp->data;
	unsigned status = (unsigned)llhttp_get_status_code(llhttp);

	/* llhttp also reads HTTP/0.9 and 2.0 status lines. */
	if (llhttp_get_http_major(llhttp) != 1 || llhttp_get_http_minor(llhttp) > 1)
		return fail(response, -EPROTO);
	if (status < 100 || status > 999)
		return fail(response, -EPROTO);
	response->interim = status < 200 && status != 101;
	if (response->interim)
		return 0;
	response->status = status;
	response->events->on_head(response->user, status);
	return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_response *response = llhttp->data;
	int r;

	if (response->interim)
		return 0;
	r = response->events->on_body(response->user, at, length);
	return r < 0 ? fail(response, r) : 0;
}

static int on_complete(llhttp_t *llhttp)
{
	struct http_response *response = llhttp->data;

	return response->interim ? 0 : HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_message_begin = on_begin,
	.on_status = on_status,
	.on_header_field = on_field,
	.on_header_field_complete = on_field_complete,
	.on_header_value = on_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

void http_response_init(struct http_response *response, const struct http_response_events *events,
			void *user)
{
	*response = (struct http_response){.events = events, .user = user, .known = -1};
	llhttp_init(&response->llhttp, HTTP_RESPONSE, &settings);
	response->llhttp.data = response;
}

int http_response_feed(struct http_response *response, const char *data, size_t length,
		       size_t *ret_used)
{
	llhttp_errno_t outcome = llhttp_execute(&response->llhttp, data, length);

	if (outcome == HPE_OK) {
		*ret_used = length;
		return HTTP_RESPONSE_MORE;
	}
	if (outcome == HPE_PAUSED || outcome == HPE_PAUSED_UPGRADE) {
		*ret_used = (size_t)(llhttp_get_error_pos(&response->llhttp) - data);
		return HTTP_RESPONSE_COMPLETE;
	}
	*ret_used = 0;
	return response->failure < 0 ? response->failure : -EPROTO;
}

int http_response_end(struct http_response *response)
{
	llhttp_errno_t outcome;

	if (response->status == 0)
		return -ECONNRESET;
	outcome = llhttp_finish(&response->llhttp);
	return outcome == HPE_OK || outcome == HPE_PAUSED ? HTTP_RESPONSE_COMPLETE : -ECONNRESET;
}
