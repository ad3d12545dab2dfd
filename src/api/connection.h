/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client: bytes in, requests to their handlers, answers out, in order.
 *
 * A connection is in one phase:
 *
 *	IDLE	between requests			at most HTTP_IDLE_TIMEOUT_MS
 *	HEAD	some bytes of a head are there		at most HTTP_HEAD_TIMEOUT_MS
 *	BODY	head whole, body coming			HTTP_BODY_TIMEOUT_MS without a byte
 *	BUSY	a handler works				as long as that takes
 *	UPGRADED the bytes are those of another protocol, whose handler has its own deadlines
 *	LINGER	the last answer is out: what the client still sends is dropped, so that the answer
 *		is not lost to a reset			at most HTTP_LINGER_TIMEOUT_MS
 *
 * Whatever the phase, a client that takes no byte of queued output for HTTP_WRITE_TIMEOUT_MS (for a
 * stream HTTP_STREAM_TIMEOUT_MS) is dropped. Pipelined requests wait in `pending`; past its maximum
 * nothing more is read. A client that closes its side has gone (request.h), after the answers to
 * what it had sent before.
 *
 * All connections share the server's read buffer; an idle one holds none.
 */
#ifndef API_CONNECTION_H
#define API_CONNECTION_H

#include <stdbool.h>
#include <uv.h>

struct connection;
struct server;

/* Where a connection came in decides what is asked of its requests (auth.h). */
enum connection_origin {
	CONNECTION_UNIX,
	CONNECTION_TCP,
};

/* Accepts one client of the listener. */
void connection_accept(struct server *server, uv_stream_t *listener, enum connection_origin origin);

/* Ends all connections at once. */
void connection_close_all(struct server *server);

/* ---- for request.c ---- */

/* An answer to the current request begins. */
void connection_answer(struct connection *connection);
void connection_write(struct connection *connection, const uv_buf_t *parts, unsigned count);
bool connection_has_room(const struct connection *connection);
size_t connection_queued_bytes(const struct connection *connection);
void connection_pause_body(struct connection *connection, bool pause);

/* What comes behind the current request's head is not HTTP any more (request.h). */
void connection_upgrade(struct connection *connection);

/* Closes at once, whatever is queued; frees the current request. */
void connection_abort(struct connection *connection);

/* The current request is answered; frees it. */
void connection_finish(struct connection *connection);

enum connection_origin connection_origin(const struct connection *connection);

#endif
