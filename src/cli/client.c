/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/version.h"
#include "dial.h"
#include "handshake.h"
#include "http_response.h"

#define ERROR_ANSWER_BYTES_MAX (64 * 1024)
/* How much of an answer that is not ours is quoted. */
#define QUOTE_BYTES_MAX 200
#define PATH_BYTES_MAX  (1024 * 1024)
#define HEAD_BYTES_MAX  (PATH_BYTES_MAX + 16 * 1024)
/* A part of a body that source() gives, and what stands around it as a chunk. */
#define PART_BYTES       (64 * 1024)
#define CHUNK_HEAD_BYTES 8 /* "010000\r\n" */
#define CHUNK_TAIL_BYTES 2
#define RECEIVE_BYTES    (128 * 1024)
#define WATCHED_FDS_MAX  1024

struct client {
	struct endpoint endpoint;
	struct client_call *calls; /* newest first */
	bool is_news;              /* a call is done and nobody has seen it yet */
};

struct client_call {
	struct client *client;
	struct client_call *next;
	struct client_request request; /* its strings are not ours: used up by client_begin */
	struct dial dial;
	int fd;         /* -1: not connected (any more) */
	struct buf out; /* what is to be sent */
	size_t out_at;  /* of which that much was */
	int64_t body_left;
	bool body_given; /* all of the body is in `out` or was sent */
	bool is_deaf;    /* the server takes no more */
	struct http_response response;
	struct buf answer;
	int64_t deadline_ms, moved_at_ms;
	int failed; /* negative errno out of source() or sink() */
	bool done;
	struct err err; /* of the transport; unset: the answer is whole */
};

int client_new(const struct endpoint *endpoint, struct client **ret_client, struct err *err)
{
	struct client *client = mem_new(struct client);

	endpoint_copy(endpoint, &client->endpoint);
	*ret_client = client;
	return 0;
}

void client_free(struct client *client)
{
	if (client == NULL)
		return;
	assert(client->calls == NULL);
	endpoint_done(&client->endpoint);
	free(client);
}

const char *client_name(const struct client *client)
{
	return client->endpoint.text;
}

const struct endpoint *client_endpoint(const struct client *client)
{
	return &client->endpoint;
}

/* ---- one call ---- */

static void finish(struct client_call *call)
{
	call->done = true;
	call->client->is_news = true;
	call->fd = fd_close(call->fd);
}

static void fail_lost(struct client_call *call)
{
	err_set(&call->err, ECONNRESET, "%s went away in the middle of an answer",
		client_name(call->client));
	finish(call);
}

static void fail_late(struct client_call *call)
{
	err_set(&call->err, ETIME, "%s did not answer in time", client_name(call->client));
	finish(call);
}

static void on_head(void *user, unsigned status)
{
	struct client_call *call = user;

	/* A refusal: the rest of the body is of no use to anybody. */
	if (status >= 400)
		call->is_deaf = true;
}

static int on_body(void *user, const char *data, size_t length)
{
	struct client_call *call = user;
	int r;

	if (call->response.status >= 400)
		r = call->answer.length + length > ERROR_ANSWER_BYTES_MAX
			    ? 0
			    : buf_append(&call->answer, data, length);
	else if (call->request.sink != NULL)
		r = call->request.sink(call->request.user, data, length);
	else
		r = buf_append(&call->answer, data, length);
	if (r < 0)
		call->failed = r;
	return r;
}

static const struct http_response_events response_events = {
	.on_head = on_head,
	.on_body = on_body,
};

/* ---- sending ---- */

/* Asked also at the end of a known length: what the source does at the end of its file counts. */
static ssize_t ask_source(struct client_call *call, char *data)
{
	size_t want = PART_BYTES;
	ssize_t n;

	if (call->request.source_bytes >= 0)
		want = MAX((size_t)MIN((int64_t)want, call->body_left), 1U);
	n = call->request.source(call->request.user, data, want);
	if (n < 0)
		call->failed = (int)n;
	if (n < 0 || call->request.source_bytes < 0)
		return n;
	if (n > call->body_left || (n == 0 && call->body_left > 0))
		return err_set(&call->err, EIO, "what is being sent has changed its length");
	call->body_left -= n;
	return n;
}

/* The next part of the body, as a chunk where its length was not said. */
static int give_part(struct client_call *call)
{
	char head[24], *part;
	ssize_t n;

	buf_clear(&call->out);
	/* It was made large enough for every request's head. */
	if (buf_reserve(&call->out, CHUNK_HEAD_BYTES + PART_BYTES + CHUNK_TAIL_BYTES, &part) < 0)
		return err_set(&call->err, ENOBUFS, "a part of the request does not fit");
	n = ask_source(call, part + CHUNK_HEAD_BYTES);
	if (n < 0)
		return (int)n;
	call->body_given = n == 0;
	if (call->request.source_bytes >= 0) {
		call->out_at = CHUNK_HEAD_BYTES;
		buf_commit(&call->out, CHUNK_HEAD_BYTES + (size_t)n);
		return 0;
	}
	snprintf(head, sizeof(head), "%06zx\r\n", (size_t)n);
	memcpy(part, head, CHUNK_HEAD_BYTES);
	memcpy(part + CHUNK_HEAD_BYTES + n, "\r\n", CHUNK_TAIL_BYTES);
	call->out_at = 0;
	buf_commit(&call->out, CHUNK_HEAD_BYTES + (size_t)n + CHUNK_TAIL_BYTES);
	return 0;
}

static bool has_output(const struct client_call *call)
{
	return call->out_at < call->out.length;
}

static void send_some(struct client_call *call)
{
	ssize_t n;

	if (!has_output(call) && give_part(call) < 0) {
		finish(call);
		return;
	}
	if (!has_output(call))
		return;
	n = dial_send(call->fd, call->out.data + call->out_at, call->out.length - call->out_at);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n < 0) {
		/* It may have said why before it closed. */
		call->is_deaf = true;
		return;
	}
	call->out_at += (size_t)n;
	call->moved_at_ms = clock_monotonic_ms();
}

/* ---- receiving ---- */

static void end_of_answer(struct client_call *call, int r)
{
	const char *name = client_name(call->client);

	if (r == HTTP_RESPONSE_COMPLETE) {
		finish(call);
	} else if (call->failed < 0) {
		finish(call);
	} else if (r == -ECONNRESET) {
		fail_lost(call);
	} else {
		err_set(&call->err, EIO, "what answers at %s does not speak HTTP/1.1%s", name,
			r == -E2BIG ? ": its headers are too long" : "");
		finish(call);
	}
}

static bool is_upgraded(const struct client_call *call)
{
	return call->request.websocket_key != NULL && call->response.status == 101;
}

static void receive_some(struct client_call *call)
{
	char data[RECEIVE_BYTES];
	size_t used;
	ssize_t n;
	int r;

	n = recv(call->fd, data, sizeof(data), 0);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n < 0) {
		fail_lost(call);
		return;
	}
	if (n == 0) {
		end_of_answer(call, http_response_end(&call->response));
		return;
	}
	call->moved_at_ms = clock_monotonic_ms();
	r = http_response_feed(&call->response, data, (size_t)n, &used);
	if (r == HTTP_RESPONSE_COMPLETE && is_upgraded(call)) {
		/* Behind the head another protocol has begun. */
		(void)!buf_append(&call->answer, data + used, (size_t)n - used);
		call->done = call->client->is_news = true;
	} else if (r != HTTP_RESPONSE_MORE) {
		end_of_answer(call, r);
	}
}

/* ---- beginning ---- */

static int write_head(struct client_call *call)
{
	const struct client_request *request = &call->request;
	const struct endpoint *endpoint = &call->client->endpoint;
	struct buf *out = &call->out;
	int r;

	r = buf_printf(out,
		       "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: krunctl/%s\r\nAccept: %s\r\n"
		       "Connection: %s\r\n",
		       request->method, request->path, endpoint->authority, VERSION,
		       request->accept != NULL ? request->accept : "application/json",
		       request->websocket_key != NULL ? "Upgrade" : "close");
	if (r >= 0 && request->websocket_key != NULL)
		r = buf_printf(out,
			       "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			       "Sec-WebSocket-Key: %s\r\n",
			       request->websocket_key);
	if (r >= 0 && endpoint->token != NULL)
		r = buf_printf(out, "Authorization: Bearer %s\r\n", endpoint->token);
	if (r >= 0 && request->body != NULL)
		r = buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			       request->body_length);
	else if (r >= 0 && request->source != NULL && request->source_bytes >= 0)
		r = buf_printf(out, "Content-Type: application/x-tar\r\nContent-Length: %lld\r\n",
			       (long long)request->source_bytes);
	else if (r >= 0 && request->source != NULL)
		r = buf_append_string(out, "Content-Type: application/x-tar\r\n"
					   "Transfer-Encoding: chunked\r\n");
	else if (r >= 0 && strcmp(request->method, "GET") != 0)
		r = buf_append_string(out, "Content-Length: 0\r\n");
	if (r >= 0)
		r = buf_append_string(out, "\r\n");
	if (r >= 0 && request->body != NULL)
		r = buf_append(out, request->body, request->body_length);
	return r;
}

static int begin(struct client_call *call, struct err *err)
{
	const struct client_request *request = &call->request;
	int64_t timeout_ms = request->timeout_ms == 0 ? CLIENT_TIMEOUT_MS : request->timeout_ms;

	call->moved_at_ms = clock_monotonic_ms();
	call->deadline_ms = timeout_ms < 0 ? INT64_MAX : call->moved_at_ms + timeout_ms;
	call->body_left = request->source_bytes;
	call->body_given = request->source == NULL;
	http_response_init(&call->response, &response_events, call);
	buf_init(&call->answer, CLIENT_ANSWER_BYTES_MAX);
	buf_init(&call->out, HEAD_BYTES_MAX + request->body_length);
	if (write_head(call) < 0)
		return err_set(err, E2BIG, "the request is too long");
	/* A server that is not there is a failed call, not a call that cannot be made. */
	if (dial_begin(&call->dial, &call->client->endpoint, &call->err) < 0)
		finish(call);
	return 0;
}

static void step_dial(struct client_call *call)
{
	int r = dial_step(&call->dial, &call->fd, &call->err);

	if (r == 0)
		return;
	dial_done(&call->dial);
	if (r < 0)
		finish(call);
	else
		send_some(call);
}

static void free_call(struct client_call *call)
{
	struct client_call **link = &call->client->calls;

	while (*link != NULL && *link != call)
		link = &(*link)->next;
	if (*link != NULL)
		*link = call->next;
	dial_done(&call->dial);
	fd_close(call->fd);
	buf_done(&call->out);
	buf_done(&call->answer);
	free(call);
}

int client_begin(struct client *client, const struct client_request *request,
		 struct client_call **ret_call, struct err *err)
{
	struct client_call *call = mem_new(struct client_call);
	int r;

	call->client = client;
	call->request = *request;
	call->fd = call->dial.fd = -1;
	r = begin(call, err);
	if (r < 0) {
		free_call(call);
		return r;
	}
	call->next = client->calls;
	client->calls = call;
	/* A unix socket is there at once. */
	if (!call->done)
		step_dial(call);
	*ret_call = call;
	return 0;
}

/* ---- all calls ---- */

/* What a call waits for: its connection, and its source where that can be waited for. */
struct watch {
	struct pollfd fds[WATCHED_FDS_MAX];
	nfds_t count;
	int timeout_ms;
};

static void watch_fd(struct watch *watch, int fd, int events)
{
	assert(watch->count < WATCHED_FDS_MAX);
	watch->fds[watch->count++] = (struct pollfd){.fd = fd, .events = (short)events};
}

static int revents_of(const struct watch *watch, int fd)
{
	for (nfds_t i = 0; fd >= 0 && i < watch->count; i++) {
		if (watch->fds[i].fd == fd)
			return watch->fds[i].revents;
	}
	return 0;
}

static bool wants_source(const struct client_call *call)
{
	return call->fd >= 0 && !call->is_deaf && !has_output(call) && !call->body_given;
}

static int64_t give_up_at_ms(const struct client_call *call)
{
	int64_t idle_until_ms = call->request.idle_s > 0
					? call->moved_at_ms + call->request.idle_s * 1000
					: INT64_MAX;

	return MIN(call->deadline_ms, idle_until_ms);
}

static void watch_call(struct watch *watch, const struct client_call *call)
{
	bool waits_for_source = wants_source(call) && call->request.source_fd > 0;
	bool sends = !call->is_deaf && (has_output(call) || wants_source(call));
	int64_t give_up_ms = give_up_at_ms(call);

	if (call->done)
		return;
	if (give_up_ms != INT64_MAX)
		watch->timeout_ms = MIN(watch->timeout_ms, clock_left_ms(give_up_ms));
	if (call->fd < 0) {
		watch->timeout_ms = MIN(watch->timeout_ms, DIAL_STEP_MS);
		watch_fd(watch, call->dial.fd, POLLOUT);
		return;
	}
	watch_fd(watch, call->fd, sends && !waits_for_source ? POLLIN | POLLOUT : POLLIN);
	if (waits_for_source)
		watch_fd(watch, call->request.source_fd, POLLIN);
}

static void step_call(const struct watch *watch, struct client_call *call)
{
	int revents = revents_of(watch, call->fd);

	if (call->done)
		return;
	if (call->fd < 0) {
		step_dial(call);
	} else {
		if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0)
			receive_some(call);
		if (!call->done && !call->is_deaf &&
		    ((revents & POLLOUT) != 0 ||
		     (wants_source(call) && revents_of(watch, call->request.source_fd) != 0)))
			send_some(call);
	}
	if (!call->done && clock_monotonic_ms() >= give_up_at_ms(call))
		fail_late(call);
}

int client_step(struct client *client, int fd, int timeout_ms, struct err *err)
{
	struct watch watch = {
		.timeout_ms = client->is_news  ? 0
			      : timeout_ms < 0 ? INT_MAX
					       : timeout_ms,
	};

	for (struct client_call *call = client->calls; call != NULL; call = call->next)
		watch_call(&watch, call);
	if (fd >= 0)
		watch_fd(&watch, fd, POLLIN);
	client->is_news = false;
	if (poll(watch.fds, watch.count, watch.timeout_ms) < 0 && errno != EINTR)
		return err_set_errno(err, errno, "waiting for %s", client_name(client));
	for (struct client_call *call = client->calls; call != NULL; call = call->next)
		step_call(&watch, call);
	/* What has just ended is for the caller to see before any wait, and that is now. */
	client->is_news = false;
	return 0;
}

bool client_call_is_done(const struct client_call *call)
{
	return call->done;
}

static int status_errnum(long status)
{
	static const struct {
		long status;
		int errnum;
	} kinds[] = {
		{400, EINVAL}, {401, EACCES}, {403, EACCES}, {404, ENOENT}, {408, ETIMEDOUT},
		{409, EBUSY},  {413, E2BIG},  {422, EDOM},   {429, EAGAIN}, {503, EAGAIN},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].status == status)
			return kinds[i].errnum;
	}
	return EIO;
}

/* The server's sentence, or what the answer says where it is not krun-api that answers. */
static int fail_status(const struct client_call *call, long status, struct err *err)
{
	const struct buf *answer = &call->answer;
	_cleanup_json_ json_t *body = NULL;
	const char *sentence = NULL;

	if (answer->length > 0 && json_parse(answer->data, answer->length, &body, NULL) == 0)
		sentence = json_string_value(json_object_get(body, "error"));
	if (sentence == NULL)
		return err_set(err, status_errnum(status),
			       "%s answered %ld and this is not krun-api: %.*s",
			       client_name(call->client), status,
			       (int)MIN(answer->length, QUOTE_BYTES_MAX),
			       answer->data != NULL ? answer->data : "");
	if (status == 401 && call->client->endpoint.token == NULL)
		return err_set(err, EACCES,
			       "%s (no token is known for %s: give --token-file or $KRUN_TOKEN)",
			       sentence, client_name(call->client));
	return err_set(err, status_errnum(status), "%s", sentence);
}

static int outcome(struct client_call *call, struct buf *ret_answer, struct err *err)
{
	long status = call->response.status;

	if (!call->done)
		return err_set(err, ECANCELED, "broken off");
	if (call->failed == -ENOBUFS)
		return err_set(err, ENOBUFS, "the answer of %s is too long",
			       client_name(call->client));
	if (call->failed < 0)
		return err_set_errno(err, -call->failed, "the transfer was broken off");
	/* An early refusal of an upload counts, even where the rest could not be sent. */
	if (status >= 400)
		return fail_status(call, status, err);
	if (call->err.errnum != 0)
		return err_set(err, call->err.errnum, "%s", call->err.text);
	if ((status < 200 || status >= 300) && !is_upgraded(call))
		return fail_status(call, status, err);
	if (ret_answer != NULL) {
		*ret_answer = call->answer;
		call->answer = (struct buf){0};
	}
	return 0;
}

int client_end(struct client_call *call, struct buf *ret_answer, struct err *err)
{
	int r;

	if (call == NULL)
		return 0;
	r = outcome(call, ret_answer, err);
	free_call(call);
	return r;
}

int client_end_upgrade(struct client_call *call, const char *key, int *ret_fd, struct buf *ret_rest,
		       struct err *err)
{
	const char(*values)[HTTP_RESPONSE_VALUE_BYTES] = call->response.values;
	char accept[HANDSHAKE_ACCEPT_BYTES];
	int r = outcome(call, NULL, err);

	handshake_accept(key, accept);
	if (r >= 0 &&
	    (!is_upgraded(call) || strcasecmp(values[HTTP_RESPONSE_UPGRADE], "websocket") != 0 ||
	     strcmp(values[HTTP_RESPONSE_WEBSOCKET_ACCEPT], accept) != 0 ||
	     values[HTTP_RESPONSE_WEBSOCKET_EXTENSIONS][0] != '\0'))
		r = err_set(err, EPROTO, "%s does not speak WebSocket here",
			    client_name(call->client));
	if (r >= 0) {
		*ret_fd = take_fd(call->fd);
		*ret_rest = call->answer;
		call->answer = (struct buf){0};
	}
	free_call(call);
	return r;
}

int client_finish(struct client_call *call, const struct client_pulse *pulse,
		  struct buf *ret_answer, struct err *err)
{
	int interval_ms = pulse != NULL ? pulse->interval_ms : 1000;

	while (!client_call_is_done(call)) {
		int r = client_step(call->client, -1, interval_ms, err);

		if (r < 0) {
			client_end(call, NULL, NULL);
			return r;
		}
		if (pulse != NULL)
			pulse->beat(pulse->user);
	}
	return client_end(call, ret_answer, err);
}

int client_do(struct client *client, const struct client_request *request, struct buf *ret_answer,
	      struct err *err)
{
	struct client_call *call;
	int r;

	r = client_begin(client, request, &call, err);
	return r < 0 ? r : client_finish(call, NULL, ret_answer, err);
}

int client_json(struct client *client, const struct client_request *request, json_t **ret_answer,
		struct err *err)
{
	_cleanup_buf_ struct buf answer = {0};
	int r;

	r = client_do(client, request, &answer, err);
	if (r < 0)
		return r;
	r = json_parse(answer.data != NULL ? answer.data : "", answer.length, ret_answer, err);
	if (r < 0)
		return err_prefix(err, "the answer of %s", client_name(client));
	return 0;
}

static void append_encoded(struct buf *buf, const char *text)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text != '\0'; text++) {
		if (strchr(plain, *text) != NULL)
			(void)!buf_append_char(buf, *text);
		else
			(void)!buf_printf(buf, "%%%02X", (unsigned char)*text);
	}
}

char *client_path(const char *format, ...)
{
	_cleanup_buf_ struct buf buf = {0};
	va_list ap;

	buf_init(&buf, PATH_BYTES_MAX);
	va_start(ap, format);
	for (; *format != '\0'; format++) {
		if (format[0] == '%' && format[1] == 's') {
			append_encoded(&buf, va_arg(ap, const char *));
			format++;
		} else {
			(void)!buf_append_char(&buf, *format);
		}
	}
	va_end(ap);
	return buf_take_string(&buf);
}
