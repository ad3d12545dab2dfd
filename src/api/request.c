/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/jsonw.h"
#include "base/mem.h"
#include "connection.h"
#include "server.h"

static const struct {
	int status;
	const char *phrase;
} phrases[] = {
	{200, "OK"},
	{201, "Created"},
	{204, "No Content"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{411, "Length Required"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{422, "Unprocessable Content"},
	{426, "Upgrade Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{503, "Service Unavailable"},
};

static const char *phrase(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(phrases); i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "";
}

static bool accepts(const char *accept, const char *type)
{
	return accept != NULL && strstr(accept, type) != NULL;
}

struct request *request_new(struct server *server, const struct http_head *head)
{
	struct request *request = mem_new(struct request);

	request->server = server;
	request->method = head->method;
	request->minor = head->minor;
	request->began_ns = uv_hrtime();
	request->keep_alive = head->keep_alive;
	request->wants_ndjson = accepts(head->headers[HTTP_HEADER_ACCEPT], "application/x-ndjson");
	request->wants_sse = accepts(head->headers[HTTP_HEADER_ACCEPT], "text/event-stream");
	request->last_event_id = mem_strdup_or_null(head->headers[HTTP_HEADER_LAST_EVENT_ID]);
	request->idempotency_key = mem_strdup_or_null(head->headers[HTTP_HEADER_IDEMPOTENCY_KEY]);
	request->has_body = head->has_body;
	request->has_length = head->has_body && !head->chunked;
	request->content_length = head->content_length;
	request->target = mem_strdup(head->target);
	if (head->upgrade) {
		request->upgrade = mem_strdup_or_null(head->headers[HTTP_HEADER_UPGRADE]);
		request->websocket_key =
			mem_strdup_or_null(head->headers[HTTP_HEADER_WEBSOCKET_KEY]);
		request->websocket_version =
			mem_strdup_or_null(head->headers[HTTP_HEADER_WEBSOCKET_VERSION]);
	}
	buf_init(&request->body, HTTP_BODY_BYTES_MAX);
	snprintf(request->id, sizeof(request->id), "%s-%08x", server->request_prefix,
		 (unsigned)++server->request_count);
	return request;
}

void request_free(struct request *request)
{
	if (request == NULL)
		return;
	if (request->on_answer != NULL)
		request->on_answer(request, 0, NULL, 0);
	query_done(&request->query);
	buf_done(&request->body);
	free(request->target);
	free(request->param_own);
	free(request->last_event_id);
	free(request->idempotency_key);
	free(request->upgrade);
	free(request->websocket_key);
	free(request->websocket_version);
	free(request);
}

int request_read_target(struct request *request, const char *ret_segments[PATH_SEGMENTS_MAX],
			struct err *err)
{
	char *mark = strchr(request->target, '?');
	int r;

	if (mark != NULL) {
		*mark = '\0';
		r = query_split(mark + 1, &request->query, err);
		if (r < 0)
			return r;
	}
	return path_split(request->target, ret_segments, err);
}

void request_pause_body(struct request *request)
{
	if (request->connection != NULL)
		connection_pause_body(request->connection, true);
}

void request_resume_body(struct request *request)
{
	if (request->connection != NULL)
		connection_pause_body(request->connection, false);
}

size_t request_queued_bytes(const struct request *request)
{
	return request->connection == NULL ? 0 : connection_queued_bytes(request->connection);
}

void request_abort(struct request *request)
{
	if (request->connection != NULL)
		connection_abort(request->connection);
	else
		request_free(request);
}

/* ---- answers ---- */

struct answer {
	int status;
	const char *type;  /* NULL: no body */
	const char *extra; /* further headers, each with its line end */
	bool stream;
};

static int format_head(const struct request *request, const struct answer *answer, size_t length,
		       char *out, size_t size)
{
	char framing[64] = "";
	const char *close = request->keep_alive ? "" : "Connection: close\r\n";

	if (answer->stream && request->chunked)
		strcpy(framing, "Transfer-Encoding: chunked\r\n");
	else if (!answer->stream && answer->status != 204)
		snprintf(framing, sizeof(framing), "Content-Length: %zu\r\n", length);
	return snprintf(out, size,
			"HTTP/1.1 %d %s\r\n%s%s%s%s%s%sX-Request-Id: %s\r\n"
			"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n\r\n",
			answer->status, phrase(answer->status),
			answer->type == NULL ? "" : "Content-Type: ",
			answer->type == NULL ? "" : answer->type,
			answer->type == NULL ? "" : "\r\n", framing, close,
			answer->extra != NULL           ? answer->extra
			: request->extra_header != NULL ? request->extra_header
							: "",
			request->id);
}

/* The end of the request: the connection goes on to the next, or nobody waits any more. */
static void finish(struct request *request)
{
	if (request->connection != NULL)
		connection_finish(request->connection);
	else
		request_free(request);
}

static void reply(struct request *request, const struct answer *answer, const void *body,
		  size_t length)
{
	char head[1024];
	uv_buf_t parts[2];
	int head_length;

	metrics_answered(&request->server->metrics, request, answer->status);
	if (request->on_answer != NULL)
		request->on_answer(request, answer->status, body, length);
	request->on_answer = NULL;
	if (request->connection != NULL) {
		connection_answer(request->connection);
		head_length = format_head(request, answer, length, head, sizeof(head));
		parts[0] = uv_buf_init(head, (unsigned)head_length);
		parts[1] = uv_buf_init((char *)body, (unsigned)length);
		connection_write(request->connection, parts,
				 request->method == HTTP_METHOD_HEAD || length == 0 ? 1 : 2);
	}
	finish(request);
}

void reply_json(struct request *request, int status, struct buf *body)
{
	reply(request, &(struct answer){.status = status, .type = "application/json"}, body->data,
	      body->length);
	buf_done(body);
}

void reply_text(struct request *request, int status, const char *type, const char *text,
		size_t length)
{
	reply(request, &(struct answer){.status = status, .type = type}, text, length);
}

void reply_empty(struct request *request, int status)
{
	reply(request, &(struct answer){.status = status}, NULL, 0);
}

void error_write(struct buf *out, const struct request *request, const char *code,
		 const char *sentence)
{
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "error", sentence);
	jsonw_string(&w, "code", code);
	jsonw_string(&w, "request_id", request->id);
	jsonw_object_end(&w);
	(void)!jsonw_finish(&w); /* bounded by the sentence */
}

static void reply_error_with(struct request *request, const struct answer *answer, const char *code,
			     const char *sentence)
{
	_cleanup_buf_ struct buf body;

	buf_init(&body, 64 * KIB);
	error_write(&body, request, code, sentence);
	reply(request, answer, body.data, body.length);
}

void reply_error(struct request *request, int status, const char *code, const char *fmt, ...)
{
	char sentence[ERR_TEXT_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	reply_error_with(request, &(struct answer){.status = status, .type = "application/json"},
			 code, sentence);
}

void reply_not_allowed(struct request *request, const char *allow)
{
	char extra[128], sentence[256];

	snprintf(extra, sizeof(extra), "Allow: %s\r\n", allow);
	snprintf(sentence, sizeof(sentence), "this path has the methods %s", allow);
	reply_error_with(request,
			 &(struct answer){.status = 405,
					  .type = "application/json",
					  .extra = extra},
			 "method_not_allowed", sentence);
}

void reply_upgrade_required(struct request *request, const char *sentence)
{
	reply_error_with(request,
			 &(struct answer){.status = 426,
					  .type = "application/json",
					  .extra = "Upgrade: websocket\r\n"
						   "Connection: Upgrade\r\n"
						   "Sec-WebSocket-Version: 13\r\n"},
			 "upgrade_required", sentence);
}

void reply_unauthorized(struct request *request, const char *sentence)
{
	reply_error_with(request,
			 &(struct answer){.status = 401,
					  .type = "application/json",
					  .extra = "WWW-Authenticate: Bearer\r\n"},
			 "unauthorized", sentence);
}

void stream_begin(struct request *request, int status, const char *type)
{
	struct answer answer = {.status = status, .type = type, .stream = true};
	char head[1024];
	uv_buf_t part;

	metrics_answered(&request->server->metrics, request, status);
	request->streaming = true;
	request->chunked = request->minor == 1;
	if (!request->chunked)
		request->keep_alive = false;
	if (request->connection == NULL)
		return;
	connection_answer(request->connection);
	part = uv_buf_init(head, (unsigned)format_head(request, &answer, 0, head, sizeof(head)));
	connection_write(request->connection, &part, 1);
}

bool stream_write(struct request *request, const void *data, size_t length)
{
	char head[24];
	uv_buf_t parts[3];

	if (request->connection == NULL || request->method == HTTP_METHOD_HEAD)
		return true;
	if (length == 0)
		return connection_has_room(request->connection);
	if (request->chunked) {
		int head_length = snprintf(head, sizeof(head), "%zx\r\n", length);

		parts[0] = uv_buf_init(head, (unsigned)head_length);
		parts[1] = uv_buf_init((char *)data, (unsigned)length);
		parts[2] = uv_buf_init((char *)"\r\n", 2);
		connection_write(request->connection, parts, 3);
	} else {
		parts[0] = uv_buf_init((char *)data, (unsigned)length);
		connection_write(request->connection, parts, 1);
	}
	return connection_has_room(request->connection);
}

void stream_end(struct request *request)
{
	uv_buf_t part = uv_buf_init((char *)"0\r\n\r\n", 5);

	if (request->connection != NULL && request->chunked && request->method != HTTP_METHOD_HEAD)
		connection_write(request->connection, &part, 1);
	finish(request);
}

/* ---- another protocol ---- */

void upgrade_begin(struct request *request, const char *headers)
{
	char head[1024];
	uv_buf_t part;
	int length = snprintf(head, sizeof(head),
			      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n%s"
			      "X-Request-Id: %s\r\n\r\n",
			      headers, request->id);

	metrics_answered(&request->server->metrics, request, 101);
	request->streaming = true;
	request->keep_alive = false;
	if (request->connection == NULL)
		return;
	connection_answer(request->connection);
	connection_upgrade(request->connection);
	part = uv_buf_init(head, (unsigned)length);
	connection_write(request->connection, &part, 1);
}

void upgrade_write(struct request *request, const uv_buf_t *parts, unsigned count)
{
	if (request->connection != NULL)
		connection_write(request->connection, parts, count);
}

void upgrade_end(struct request *request)
{
	finish(request);
}
