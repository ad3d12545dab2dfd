/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one HTTP client: requests to krun-api over its unix socket or plain TCP, a connection each.
 *
 * A call that is answered with a status of 400 or more is an error whose sentence is the server's
 * own; the errno tells the kind: ENOENT 404, EBUSY 409, ETIMEDOUT 408, EACCES 401 and 403, EINVAL
 * 400, EDOM 422, EAGAIN 429 and 503, E2BIG 413, EIO anything else. A server that does not answer is
 * ECONNREFUSED, a connection that breaks ECONNRESET, a deadline of ours ETIME.
 *
 * Most callers want client_do(). Who must do two things at once begins calls, steps the client and
 * ends each call once it is done; calls that are still under way when they are ended are broken off.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "endpoint.h"

/* Largest answer that is collected in memory: a list of every machine of a large host. */
#define CLIENT_ANSWER_BYTES_MAX (64 * 1024 * 1024)

struct client;
struct client_call;

struct client_request {
	const char *method;
	const char *path;   /* from "/", with the query, percent-encoded; client_path() helps */
	const char *accept; /* NULL: JSON */

	const char *body; /* JSON; NULL: none */
	size_t body_length;
	/*
	 * Or a body that is read as it goes: bytes put into `data`, 0 at the end, negative errno to
	 * break off so that the server sees an unfinished request.
	 */
	ssize_t (*source)(void *user, char *data, size_t length);
	int64_t source_bytes; /* -1: not known; fewer than that many is an error */
	int source_fd;        /* > 0: source() is called only when that descriptor is readable */

	/* Called with each part of a good answer; NULL: the answer is collected. Negative: break off. */
	int (*sink)(void *user, const char *data, size_t length);
	void *user;

	/* Asks for WebSocket with that key (handshake.h); ended by client_end_upgrade(). NULL: does not. */
	const char *websocket_key;

	int64_t timeout_ms; /* for the whole call; 0: CLIENT_TIMEOUT_MS; -1: none */
	int64_t idle_s;     /* gives up when nothing moves for that long; 0: never */
};

#define CLIENT_TIMEOUT_MS 30000

int client_new(const struct endpoint *endpoint, struct client **ret_client,
	       struct err *err) _must_check_;
void client_free(struct client *client);

/* What messages call the server. */
const char *client_name(const struct client *client);
/* Whom it asks; lives as long as the client. */
const struct endpoint *client_endpoint(const struct client *client);

/* What is to be done at least that often while a call is waited for. */
struct client_pulse {
	int interval_ms;
	void (*beat)(void *user);
	void *user;
};

/* Waits until the call is done, and ends it as client_end() does. `pulse` may be NULL. */
int client_finish(struct client_call *call, const struct client_pulse *pulse,
		  struct buf *ret_answer, struct err *err) _must_check_;

/* One call from begin to end. `ret_answer`, which may be NULL, is what was collected. */
int client_do(struct client *client, const struct client_request *request, struct buf *ret_answer,
	      struct err *err) _must_check_;

/* The same for JSON in the answer; `body` may be NULL. */
int client_json(struct client *client, const struct client_request *request, json_t **ret_answer,
		struct err *err) _must_check_;

int client_begin(struct client *client, const struct client_request *request,
		 struct client_call **ret_call, struct err *err) _must_check_;
/* Works on all calls; returns after `timeout_ms`, earlier when something moved or `fd` is readable. */
int client_step(struct client *client, int fd, int timeout_ms, struct err *err) _must_check_;
bool client_call_is_done(const struct client_call *call);
/* The outcome; frees the call. NULL is allowed. */
int client_end(struct client_call *call, struct buf *ret_answer, struct err *err);

/*
 * The outcome of a call for WebSocket, freed by it: the connection, which is the caller's from here
 * on, and what came behind the handshake.
 */
int client_end_upgrade(struct client_call *call, const char *key, int *ret_fd, struct buf *ret_rest,
		       struct err *err) _must_check_;

/*
 * A path on the heap: in `format`, each %s is replaced by an argument, percent-encoded. Nothing else
 * may follow a percent sign.
 */
char *client_path(const char *format, ...) _must_check_;

static inline void cleanup_client(struct client **client)
{
	client_free(*client);
}
#define _cleanup_client_ _cleanup_(cleanup_client)

#endif
