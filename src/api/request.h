/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request from its head to its answer, as handlers see it.
 *
 * A handler is called once: when the whole body is there, or for routes with ROUTE_BODY_STREAM when
 * the head is. It answers with exactly one of the reply_*() functions, or stream_begin(),
 * stream_write()* and stream_end(); at once, or later from a callback. After the answer the request
 * is gone.
 *
 * The client may go first. With `on_gone` set, that is called then, once, and the request is gone
 * when it returns. Without it the request stays, without a connection, until it is answered: the
 * answer goes nowhere. A handler that answers later and whose work should stop with the client sets
 * `on_gone`; one whose work must be finished anyway does not.
 */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "http_parser.h"
#include "query.h"

struct connection;
struct route;
struct server;

#define REQUEST_ID_BYTES 24

struct request {
	struct server *server;
	struct connection *connection; /* NULL: the client is gone */
	const struct route *route;
	char id[REQUEST_ID_BYTES];
	enum http_method method;
	unsigned minor;
	uint64_t began_ns; /* uv_hrtime() when its head was whole */
	bool keep_alive;
	bool wants_ndjson;                     /* Accept: application/x-ndjson */
	bool wants_sse;                        /* Accept: text/event-stream */
	char *last_event_id, *idempotency_key; /* headers, NULL: absent */
	bool has_body;
	bool has_length;
	uint64_t content_length;
	char *target;      /* split in place */
	const char *param; /* the route's {id} or {image}, decoded */
	char *param_own;   /* where it had to be put together */
	struct query query;
	struct buf body; /* ROUTE_BODY_JSON */
	bool streaming;  /* stream_begin() was called */
	bool chunked;
	/* The client's words for leaving HTTP; NULL where it has none. */
	char *upgrade, *websocket_key, *websocket_version;

	/*
	 * A header of the answer with its line end, or NULL; and who sees the whole answer first, or
	 * status 0 when there will be none.
	 */
	const char *extra_header;
	void (*on_answer)(struct request *request, int status, const char *body, size_t length);
	void *answer_data;

	/* The handler's own. */
	void *data;
	void (*on_gone)(struct request *request);
	void (*on_drain)(struct request *request); /* stream_write() may go on */
	/* ROUTE_BODY_STREAM. */
	void (*on_body)(struct request *request, const char *data, size_t length);
	void (*on_body_end)(struct request *request);
	/* After upgrade_begin(). Returns how many it took: all, unless it paused the client. */
	size_t (*on_bytes)(struct request *request, const char *data, size_t length);
};

/* A request for a head; `head` is not needed afterwards. Never fails: see request_read_target(). */
struct request *request_new(struct server *server, const struct http_head *head);
void request_free(struct request *request);

/*
 * Splits the target into segments and query. Returns the number of segments, or -EINVAL with a
 * sentence.
 */
int request_read_target(struct request *request, const char *ret_segments[PATH_SEGMENTS_MAX],
			struct err *err) _must_check_;

/* Holds back the client's body until request_resume_body(). What was read already still comes. */
void request_pause_body(struct request *request);
void request_resume_body(struct request *request);

/* Written and not yet taken by the client. */
size_t request_queued_bytes(const struct request *request);

/* Cuts the client off at once: there is nothing better to tell it. The request is gone. */
void request_abort(struct request *request);

/* ---- answers ---- */

/* `body` is JSON text; it is empty afterwards. */
void reply_json(struct request *request, int status, struct buf *body);
void reply_text(struct request *request, int status, const char *type, const char *text,
		size_t length);
void reply_empty(struct request *request, int status);

/* `code` is the stable name of the error. */
void reply_error(struct request *request, int status, const char *code, const char *fmt, ...)
	_printf_(4, 5);

/* 405, with the methods that the path has ("GET, DELETE"). */
void reply_not_allowed(struct request *request, const char *allow);

/* 426, to a client that must come by WebSocket. */
void reply_upgrade_required(struct request *request, const char *sentence);

/* 401. */
void reply_unauthorized(struct request *request, const char *sentence);

/* The members of an error object, for errors inside an answer. */
void error_write(struct buf *out, const struct request *request, const char *code,
		 const char *sentence);

/*
 * An answer of unknown length. stream_write() returns true while more may be written at once; after
 * false the handler waits for on_drain.
 */
void stream_begin(struct request *request, int status, const char *type);
bool stream_write(struct request *request, const void *data, size_t length);
void stream_end(struct request *request);

/*
 * Leaves HTTP: answers 101 with these headers. From then on the client's bytes come to `on_bytes`,
 * `on_drain` as with a stream; request_pause_body() holds the client back. upgrade_end() lets what
 * is written go and ends the connection. A client that ends its side has gone.
 */
void upgrade_begin(struct request *request, const char *headers);
void upgrade_write(struct request *request, const uv_buf_t *parts, unsigned count);
void upgrade_end(struct request *request);

#endif
