/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "base/mem.h"
#include "request.h"
#include "routes.h"
#include "server.h"

enum phase {
	PHASE_IDLE,
	PHASE_HEAD,
	PHASE_BODY,
	PHASE_BUSY,
	PHASE_UPGRADED,
	PHASE_LINGER,
};

struct connection {
	struct server *server;
	struct connection *next, *previous;
	union {
		uv_stream_t stream;
		uv_handle_t handle;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	};
	uv_timer_t timer;
	uv_shutdown_t shutdown;
	struct http_parser parser;
	struct request *request; /* being read or answered */
	struct buf pending;      /* read and not yet parsed */
	enum connection_origin origin;
	enum phase phase;
	bool answered;    /* the current request has the head of its answer */
	bool refused;     /* the current request is answered; its body is dropped */
	bool keep_alive;  /* after a refusal */
	bool body_paused; /* by the handler */
	bool reading;
	bool pumping;
	bool eof;
	bool closing;
	bool shutting_down;
	unsigned handles_open;
	size_t output_bytes; /* queued in libuv */
	size_t linger_bytes;
	uint64_t phase_ms;     /* when the phase began */
	uint64_t activity_ms;  /* last byte from the client */
	uint64_t progress_ms;  /* last byte taken by the client */
	uint64_t timer_due_ms; /* 0: not armed */
};

struct output {
	uv_write_t write;
	size_t length;
	char data[];
};

static void pump(struct connection *connection);
static void update_reading(struct connection *connection);

/* ---- end ---- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;
	struct request *request;

	if (--connection->handles_open > 0)
		return;
	request = connection->request;
	if (request != NULL) {
		request->connection = NULL;
		if (request->on_gone != NULL) {
			request->on_gone(request);
			request_free(request);
		} else if (connection->phase == PHASE_BODY && request->on_body == NULL) {
			request_free(request); /* no handler knows of it yet */
		}
	}
	if (connection->previous != NULL)
		connection->previous->next = connection->next;
	else
		connection->server->connections = connection->next;
	if (connection->next != NULL)
		connection->next->previous = connection->previous;
	connection->server->connection_count--;
	http_parser_done(&connection->parser);
	buf_done(&connection->pending);
	free(connection);
}

static void connection_close(struct connection *connection)
{
	if (connection->closing)
		return;
	connection->closing = true;
	uv_close(&connection->handle, on_handle_closed);
	uv_close((uv_handle_t *)&connection->timer, on_handle_closed);
}

void connection_close_all(struct server *server)
{
	for (struct connection *c = server->connections; c != NULL; c = c->next)
		connection_close(c);
}

/* ---- deadlines ---- */

static uint64_t write_timeout_ms(const struct connection *connection)
{
	return connection->request != NULL && connection->request->streaming
		       ? HTTP_STREAM_TIMEOUT_MS
		       : HTTP_WRITE_TIMEOUT_MS;
}

/* The moment at which this connection has waited too long; UINT64_MAX: it may wait. */
static uint64_t find_deadline(const struct connection *connection)
{
	uint64_t progress_ms = MAX(connection->activity_ms, connection->phase_ms);

	if (connection->output_bytes > 0 && connection->phase != PHASE_LINGER)
		return MAX(connection->progress_ms, connection->phase_ms) +
		       write_timeout_ms(connection);
	switch (connection->phase) {
	case PHASE_IDLE:
		return progress_ms + HTTP_IDLE_TIMEOUT_MS;
	case PHASE_HEAD:
		return connection->phase_ms + HTTP_HEAD_TIMEOUT_MS;
	case PHASE_BODY:
		if (connection->body_paused)
			return UINT64_MAX;
		if (connection->request != NULL && connection->request->on_body == NULL)
			return MIN(progress_ms + HTTP_BODY_TIMEOUT_MS,
				   connection->phase_ms + HTTP_BODY_TOTAL_MS);
		return progress_ms + HTTP_BODY_TIMEOUT_MS;
	case PHASE_BUSY:
	case PHASE_UPGRADED:
		return UINT64_MAX;
	case PHASE_LINGER:
		return connection->phase_ms + (connection->output_bytes > 0
						       ? HTTP_WRITE_TIMEOUT_MS
						       : HTTP_LINGER_TIMEOUT_MS);
	}
	return UINT64_MAX;
}

static void on_timer(uv_timer_t *timer);

/*
 * A deadline that moved away is noticed when the timer fires, so that a request costs no timer
 * operation; one that came nearer sets it anew.
 */
static void arm(struct connection *connection)
{
	uint64_t deadline_ms = find_deadline(connection);
	uint64_t now_ms = uv_now(connection->server->loop);

	if (connection->closing || deadline_ms == UINT64_MAX)
		return;
	if (connection->timer_due_ms != 0 && connection->timer_due_ms <= deadline_ms)
		return;
	connection->timer_due_ms = deadline_ms;
	uv_timer_start(&connection->timer, on_timer,
		       deadline_ms > now_ms ? deadline_ms - now_ms : 1, 0);
}

static void set_phase(struct connection *connection, enum phase phase)
{
	connection->phase = phase;
	connection->phase_ms = uv_now(connection->server->loop);
	update_reading(connection);
	arm(connection);
}

/* ---- out ---- */

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
	struct connection *connection = shutdown->handle->data;

	if (status < 0 || connection->eof) {
		connection_close(connection);
		return;
	}
	connection->phase_ms = uv_now(connection->server->loop);
	arm(connection);
}

static void release_pending(struct connection *connection)
{
	buf_done(&connection->pending);
	buf_init(&connection->pending, HTTP_PENDING_BYTES_MAX);
}

/* Lets the queued output go, then ends our side, then waits for the client to end its own. */
static void linger(struct connection *connection)
{
	if (connection->closing || connection->shutting_down)
		return;
	connection->shutting_down = true;
	release_pending(connection);
	if (uv_shutdown(&connection->shutdown, &connection->stream, on_shutdown) < 0) {
		connection_close(connection);
		return;
	}
	set_phase(connection, PHASE_LINGER);
}

size_t connection_queued_bytes(const struct connection *connection)
{
	return connection->output_bytes;
}

bool connection_has_room(const struct connection *connection)
{
	return connection->output_bytes < HTTP_OUTPUT_BYTES_MAX;
}

static void on_written(uv_write_t *write, int status)
{
	struct output *output = (struct output *)write;
	struct connection *connection = write->handle->data;
	struct request *request = connection->request;

	connection->output_bytes -= output->length;
	connection->progress_ms = uv_now(connection->server->loop);
	free(output);
	if (connection->closing)
		return;
	if (status < 0) {
		connection_close(connection);
		return;
	}
	if (request != NULL && request->streaming && request->on_drain != NULL &&
	    connection_has_room(connection))
		request->on_drain(request);
	else if (connection->phase == PHASE_IDLE || connection->phase == PHASE_HEAD ||
		 connection->phase == PHASE_BODY)
		pump(connection);
	if (connection->phase == PHASE_UPGRADED)
		pump(connection);
	arm(connection);
}

/* Queues what the kernel did not take at once, as a copy. */
static void queue_rest(struct connection *connection, const uv_buf_t *parts, unsigned count,
		       size_t taken)
{
	size_t total = 0, at = 0;
	struct output *output;
	uv_buf_t rest;

	for (unsigned i = 0; i < count; i++)
		total += parts[i].len;
	if (taken == total)
		return;
	output = mem_realloc(NULL, sizeof(*output) + total - taken);
	output->length = total - taken;
	for (unsigned i = 0; i < count; i++) {
		size_t skip = MIN(taken, parts[i].len);

		memcpy(output->data + at, parts[i].base + skip, parts[i].len - skip);
		at += parts[i].len - skip;
		taken -= skip;
	}
	rest = uv_buf_init(output->data, (unsigned)output->length);
	if (uv_write(&output->write, &connection->stream, &rest, 1, on_written) < 0) {
		free(output);
		connection_close(connection);
		return;
	}
	if (connection->output_bytes == 0)
		connection->progress_ms = uv_now(connection->server->loop);
	connection->output_bytes += output->length;
	arm(connection);
}

void connection_write(struct connection *connection, const uv_buf_t *parts, unsigned count)
{
	int taken;

	if (connection->closing)
		return;
	taken = connection->output_bytes > 0 ? UV_EAGAIN
					     : uv_try_write(&connection->stream, parts, count);
	if (taken < 0 && taken != UV_EAGAIN) {
		connection_close(connection);
		return;
	}
	queue_rest(connection, parts, count, taken < 0 ? 0 : (size_t)taken);
}

/* Reading on for the sake of the connection is worth it for a short body only. */
static bool rest_is_short(const struct connection *connection)
{
	const struct request *request = connection->request;

	return !request->has_body ||
	       (request->has_length && request->content_length <= HTTP_PENDING_BYTES_MAX);
}

void connection_answer(struct connection *connection)
{
	connection->answered = true;
	if (connection->phase == PHASE_BODY && (!connection->pumping || !rest_is_short(connection)))
		connection->request->keep_alive = false;
}

void connection_finish(struct connection *connection)
{
	struct request *request = connection->request;
	bool whole = connection->phase == PHASE_BUSY || connection->phase == PHASE_UPGRADED;

	connection->request = NULL;
	connection->body_paused = false;
	connection->keep_alive = request->keep_alive;
	request_free(request);
	if (connection->closing)
		return;
	if (!whole) {
		/* Answered before its body was read: see on_head() and on_complete(). */
		connection->refused = true;
		if (!connection->pumping)
			linger(connection);
		return;
	}
	if (!connection->keep_alive) {
		linger(connection);
		return;
	}
	set_phase(connection, PHASE_IDLE);
	if (!connection->pumping)
		pump(connection);
}

void connection_upgrade(struct connection *connection)
{
	set_phase(connection, PHASE_UPGRADED);
}

void connection_abort(struct connection *connection)
{
	struct request *request = connection->request;

	connection->request = NULL;
	request_free(request);
	connection_close(connection);
}

/* ---- in ---- */

static void continue_body(struct connection *connection, const struct http_head *head)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *expect = head->headers[HTTP_HEADER_EXPECT];
	uv_buf_t part = uv_buf_init((char *)text, sizeof(text) - 1);

	if (expect != NULL && head->minor == 1 && head->has_body)
		connection_write(connection, &part, 1);
}

static void on_head(void *user, const struct http_head *head)
{
	struct connection *connection = user;
	struct request *request = request_new(connection->server, head);

	request->connection = connection;
	connection->request = request;
	connection->answered = false;
	connection->refused = false;
	set_phase(connection, PHASE_BODY);
	if (!auth_check(request, head) || !routes_find(request, head))
		return; /* answered */
	continue_body(connection, head);
	if (route_body_streams(request->route->body))
		request->route->handle(request);
}

static void on_body(void *user, const char *data, size_t length)
{
	struct connection *connection = user;
	struct request *request = connection->request;

	if (connection->refused || connection->closing || request == NULL) {
		connection->linger_bytes += length;
		return;
	}
	if (request->on_body != NULL) {
		request->on_body(request, data, length);
		return;
	}
	if (buf_append(&request->body, data, length) < 0)
		reply_error(request, 413, "body_too_large", "the body is larger than %lu bytes",
			    HTTP_BODY_BYTES_MAX);
}

static void on_complete(struct connection *connection)
{
	struct request *request = connection->request;

	if (connection->refused) {
		if (connection->keep_alive)
			set_phase(connection, PHASE_IDLE);
		else
			linger(connection);
		return;
	}
	set_phase(connection, PHASE_BUSY);
	if (request->on_body_end != NULL)
		request->on_body_end(request);
	else
		request->route->handle(request);
}

static void refuse_bytes(struct connection *connection, int status, const char *code,
			 const char *sentence)
{
	static const struct http_head no_head = {.method = HTTP_METHOD_OTHER,
						 .minor = 1,
						 .target = ""};

	if (connection->answered && connection->phase == PHASE_BODY) {
		linger(connection);
		return;
	}
	if (connection->request != NULL && connection->request->on_gone != NULL) {
		/* A body that streams to a handler broke: nobody can be told any more. */
		connection_close(connection);
		return;
	}
	if (connection->request == NULL) {
		connection->request = request_new(connection->server, &no_head);
		connection->request->connection = connection;
	}
	connection->request->keep_alive = false;
	connection->phase = PHASE_BUSY;
	reply_error(connection->request, status, code, "%s", sentence);
}

static void refuse_malformed(struct connection *connection, int error)
{
	static const char too_long[] = "the request's target is longer than 8 KiB";
	static const char too_large[] =
		"the request's head is larger than 32 KiB, has more than 100 headers, or one of "
		"them is longer than 8 KiB";
	char sentence[256];

	if (error == -ENAMETOOLONG) {
		refuse_bytes(connection, 414, "target_too_long", too_long);
	} else if (error == -E2BIG) {
		refuse_bytes(connection, 431, "head_too_large", too_large);
	} else {
		snprintf(sentence, sizeof(sentence), "this is not an HTTP/1.1 request: %s",
			 http_parser_reason(&connection->parser));
		refuse_bytes(connection, 400, "malformed_request", sentence);
	}
}

/*
 * May the handler of another protocol have bytes? What it answers itself (to a ping) must not pile up
 * behind a client that does not read.
 */
static bool may_take_bytes(const struct connection *connection)
{
	return !connection->body_paused && connection->output_bytes < HTTP_UPGRADED_BYTES_MAX;
}

static size_t feed_upgraded(struct connection *connection, const char *data, size_t length)
{
	size_t used_total = 0;

	while (used_total < length && !connection->closing && connection->phase == PHASE_UPGRADED &&
	       may_take_bytes(connection)) {
		struct request *request = connection->request;

		used_total += request->on_bytes(request, data + used_total, length - used_total);
	}
	return used_total;
}

/* Feeds bytes while they may be taken; returns how many were. */
static size_t feed(struct connection *connection, const char *data, size_t length)
{
	size_t used_total = 0;

	while (used_total < length && !connection->closing && connection->phase != PHASE_BUSY &&
	       connection->phase != PHASE_LINGER &&
	       (connection_has_room(connection) || connection->phase == PHASE_UPGRADED)) {
		size_t used = 0;
		int r;

		if (connection->phase == PHASE_UPGRADED) {
			used_total +=
				feed_upgraded(connection, data + used_total, length - used_total);
			break;
		}
		if (connection->phase == PHASE_IDLE)
			connection->phase_ms = uv_now(connection->server->loop);
		r = http_parser_feed(&connection->parser, data + used_total, length - used_total,
				     &used);
		used_total += used;
		if (r < 0) {
			refuse_malformed(connection, r);
			return length;
		}
		if (connection->closing)
			return length;
		if (r == HTTP_FEED_COMPLETE)
			on_complete(connection);
		else if (connection->phase == PHASE_IDLE && connection->parser.begun)
			set_phase(connection, PHASE_HEAD);
		if (connection->refused && connection->phase == PHASE_BODY &&
		    (!connection->keep_alive || connection->linger_bytes > HTTP_PENDING_BYTES_MAX))
			linger(connection);
	}
	return connection->phase == PHASE_LINGER ? length : used_total;
}

/* Goes on with what is pending, then with what the client sends. */
static void pump(struct connection *connection)
{
	struct buf *pending = &connection->pending;
	size_t used = 0;

	if (connection->pumping || connection->closing)
		return;
	connection->pumping = true;
	if (pending->length > 0)
		used = feed(connection, pending->data, pending->length);
	/* A connection that lingers has dropped it all. */
	buf_consume(pending, MIN(pending->length, used));
	connection->pumping = false;
	if (connection->closing)
		return;
	if (connection->pending.length == 0)
		release_pending(connection);
	if (connection->eof && connection->pending.length == 0 &&
	    (connection->phase == PHASE_IDLE || connection->phase == PHASE_HEAD))
		linger(connection);
	update_reading(connection);
	arm(connection);
}

static void on_eof(struct connection *connection)
{
	struct request *request = connection->request;

	connection->eof = true;
	connection->reading = false;
	uv_read_stop(&connection->stream);
	switch (connection->phase) {
	case PHASE_IDLE:
	case PHASE_HEAD:
		if (connection->pending.length == 0 && connection->output_bytes == 0)
			connection_close(connection);
		else
			pump(connection);
		return;
	case PHASE_LINGER:
		/* Our side may still be on its way: on_shutdown() closes. */
		if (connection->output_bytes == 0)
			connection_close(connection);
		return;
	case PHASE_BODY:
	case PHASE_UPGRADED:
		connection_close(connection);
		return;
	case PHASE_BUSY:
		if (request != NULL && request->on_gone != NULL)
			connection_close(connection);
		return;
	}
}

static void drop_lingering(struct connection *connection, size_t length)
{
	connection->linger_bytes += length;
	if (connection->linger_bytes > HTTP_LINGER_BYTES_MAX)
		connection_close(connection);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct connection *connection = stream->data;
	size_t used = 0;

	if (length == 0)
		return;
	if (length < 0) {
		if (length == UV_EOF)
			on_eof(connection);
		else
			connection_close(connection);
		return;
	}
	connection->activity_ms = uv_now(connection->server->loop);
	if (connection->phase == PHASE_LINGER) {
		drop_lingering(connection, (size_t)length);
		return;
	}
	if (connection->pending.length == 0) {
		connection->pumping = true;
		used = feed(connection, buffer->base, (size_t)length);
		connection->pumping = false;
	}
	if (connection->closing || connection->phase == PHASE_LINGER)
		return;
	if (used < (size_t)length &&
	    buf_append(&connection->pending, buffer->base + used, (size_t)length - used) < 0) {
		connection_close(connection); /* cannot be: on_alloc() gives only what fits */
		return;
	}
	update_reading(connection);
	arm(connection);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct connection *connection = handle->data;
	size_t room = HTTP_READ_BYTES;

	if (connection->phase != PHASE_LINGER)
		room = MIN(room, HTTP_PENDING_BYTES_MAX - connection->pending.length);
	*buffer = uv_buf_init(connection->server->read_buffer, (unsigned)room);
}

static bool wants_bytes(const struct connection *connection)
{
	if (connection->closing || connection->eof)
		return false;
	if (connection->phase == PHASE_LINGER)
		return true;
	if (connection->phase == PHASE_BODY && connection->body_paused)
		return false;
	if (connection->phase == PHASE_UPGRADED && !may_take_bytes(connection))
		return false;
	return connection->pending.length < HTTP_PENDING_BYTES_MAX;
}

static void update_reading(struct connection *connection)
{
	bool wanted = wants_bytes(connection);

	if (wanted == connection->reading || connection->closing)
		return;
	connection->reading = wanted;
	if (!wanted)
		uv_read_stop(&connection->stream);
	else if (uv_read_start(&connection->stream, on_alloc, on_read) < 0)
		connection_close(connection);
}

void connection_pause_body(struct connection *connection, bool pause)
{
	connection->body_paused = pause;
	connection->activity_ms = uv_now(connection->server->loop);
	if (connection->phase == PHASE_UPGRADED && !pause)
		pump(connection);
	update_reading(connection);
	arm(connection);
}

enum connection_origin connection_origin(const struct connection *connection)
{
	return connection->origin;
}

static void on_timer(uv_timer_t *timer)
{
	struct connection *connection = timer->data;

	connection->timer_due_ms = 0;
	if (find_deadline(connection) > uv_now(connection->server->loop)) {
		arm(connection);
		return;
	}
	if (connection->output_bytes == 0 && connection->phase == PHASE_HEAD)
		refuse_bytes(connection, 408, "request_timeout",
			     "the request's head took too long");
	else if (connection->output_bytes == 0 && connection->phase == PHASE_BODY &&
		 !connection->answered)
		refuse_bytes(connection, 408, "request_timeout",
			     "the request's body took too long");
	else
		connection_close(connection);
}

/* ---- begin ---- */

static int init_stream(struct connection *connection)
{
	uv_loop_t *loop = connection->server->loop;

	if (connection->origin == CONNECTION_UNIX)
		return uv_pipe_init(loop, &connection->pipe, 0);
	return uv_tcp_init(loop, &connection->tcp);
}

/* One of the server's whose stream is not open yet; NULL: its handle could not be had. */
static struct connection *connection_new(struct server *server, enum connection_origin origin)
{
	static const struct http_events events = {.on_head = on_head, .on_body = on_body};
	struct connection *connection = mem_new(struct connection);

	connection->server = server;
	connection->origin = origin;
	if (init_stream(connection) < 0) {
		free(connection);
		return NULL;
	}
	uv_timer_init(server->loop, &connection->timer);
	connection->stream.data = connection;
	connection->timer.data = connection;
	connection->handles_open = 2;
	http_parser_init(&connection->parser, &events, connection);
	buf_init(&connection->pending, HTTP_PENDING_BYTES_MAX);
	connection->next = server->connections;
	if (connection->next != NULL)
		connection->next->previous = connection;
	server->connections = connection;
	server->connection_count++;
	return connection;
}

static void begin(struct connection *connection)
{
	connection->activity_ms = uv_now(connection->server->loop);
	set_phase(connection, PHASE_IDLE);
}

void connection_accept(struct server *server, uv_stream_t *listener, enum connection_origin origin)
{
	struct connection *connection = connection_new(server, origin);

	if (connection == NULL)
		return;
	if (uv_accept(listener, &connection->stream) < 0 ||
	    server->connection_count > HTTP_CONNECTIONS_MAX) {
		connection_close(connection);
		return;
	}
	if (origin == CONNECTION_TCP) {
		/* A client whose host vanished is noticed although nothing is sent to it. */
		uv_tcp_keepalive(&connection->tcp, 1, 60);
		uv_tcp_nodelay(&connection->tcp, 1);
	}
	begin(connection);
}
