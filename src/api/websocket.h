/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket (RFC 6455), the server's side of one connection: messages from bytes by wslay, frames to
 * bytes. Knows no socket, no HTTP beyond the handshake's key, and nothing of what the messages mean.
 *
 * Pings are answered, fragments are put together, what breaks the protocol closes the connection
 * with the status that the RFC has for it. Memory is a message and what wslay has read ahead.
 *
 * Life cycle: websocket_new(), websocket_feed() as bytes come, websocket_free(), not from within
 * `on_message`. No message comes after websocket_close() or once the peer has closed.
 */
#ifndef API_WEBSOCKET_H
#define API_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/macro.h"

struct websocket;

#define WEBSOCKET_VERSION      "13"
#define WEBSOCKET_ACCEPT_BYTES 29 /* base64 of a SHA-1 and a NUL */

enum websocket_status {
	WEBSOCKET_NORMAL = 1000,
	WEBSOCKET_BAD_DATA = 1007, /* what should be text or JSON is none */
	WEBSOCKET_POLICY = 1008,   /* any other rule of ours */
	WEBSOCKET_TOO_BIG = 1009,
	WEBSOCKET_INTERNAL = 1011,
};

struct websocket_calls {
	/* A whole message. Text is UTF-8. */
	void (*on_message)(void *user, bool text, const uint8_t *data, size_t length);
	/* Bytes for the peer. Everything is taken. */
	void (*write)(void *user, const uv_buf_t *parts, unsigned count);
};

/* `message_bytes_max`: of a message from the peer; more closes with WEBSOCKET_TOO_BIG. */
struct websocket *websocket_new(size_t message_bytes_max, const struct websocket_calls *calls,
				void *user) _must_check_;
void websocket_free(struct websocket *websocket);
void websocket_limit_message(struct websocket *websocket, size_t message_bytes_max);

/*
 * Bytes of the peer. Returns how many were taken: all, unless it was paused meanwhile. What was read
 * ahead (WEBSOCKET_AHEAD_BYTES) still comes after a pause; feeding nothing goes on with it.
 */
#define WEBSOCKET_AHEAD_BYTES 4096
size_t websocket_feed(struct websocket *websocket, const void *data, size_t length);
void websocket_pause(struct websocket *websocket, bool pause);

/* A binary message of one channel byte and data. */
void websocket_send(struct websocket *websocket, uint8_t channel, const void *data, size_t length);
void websocket_ping(struct websocket *websocket);

/* Begins or answers the close. The sentence is cut to what fits, 123 bytes. */
void websocket_close(struct websocket *websocket, enum websocket_status status,
		     const char *sentence);

/* The peer has closed or has erred: nothing more comes from it that could matter. */
bool websocket_is_over(const struct websocket *websocket);

/* Sec-WebSocket-Accept for a key. -EINVAL when it is not 16 bytes in base64. */
int websocket_accept(const char *key, char ret_accept[WEBSOCKET_ACCEPT_BYTES]) _must_check_;

#endif
