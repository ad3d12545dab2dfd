/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket (RFC 6455), the client's side of one connection: wslay over the socket that the HTTP
 * client hands over after the handshake. Knows nothing of what the messages mean.
 *
 * Life cycle: websocket_open, then websocket_step whenever the descriptor can do what
 * websocket_poll_events() wants, websocket_free. Messages are put together and given whole; pings are
 * answered. What comes is bounded by WEBSOCKET_MESSAGE_BYTES_MAX, what goes by whoever queues:
 * websocket_queued_bytes().
 */
#ifndef CLI_WEBSOCKET_H
#define CLI_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "client.h"

#define WEBSOCKET_MESSAGE_BYTES_MAX (1024 * 1024)

struct websocket;

/* A whole message. */
typedef void websocket_message_fn(void *user, bool text, const uint8_t *data, size_t length);

/* The sentences of a refused handshake are those of any call (client.h). */
int websocket_open(struct client *client, const char *path, websocket_message_fn *on_message,
		   void *user, struct websocket **ret_websocket, struct err *err) _must_check_;
void websocket_free(struct websocket *websocket);

int websocket_fd(const struct websocket *websocket);
/* For poll(2). A websocket that has read ahead what it was kept from giving wants no poll first. */
short websocket_poll_events(const struct websocket *websocket);
bool websocket_is_ready(const struct websocket *websocket);

/* Reads and writes what can be. 1: the peer has closed. -ECONNRESET: it is gone. -EPROTO: it errs. */
int websocket_step(struct websocket *websocket, short revents) _must_check_;

/*
 * Reads no more until it is let go on, and gives no messages but for small ones that had come
 * together: WEBSOCKET_AHEAD_BYTES of them.
 */
#define WEBSOCKET_AHEAD_BYTES 4096 /* of wslay's own buffer */
void websocket_hold(struct websocket *websocket, bool hold);

/* Queues a binary message of one channel byte and data, a text message, an unasked pong. */
void websocket_send(struct websocket *websocket, uint8_t channel, const void *data, size_t length);
void websocket_send_text(struct websocket *websocket, const char *text);
void websocket_pong(struct websocket *websocket);
size_t websocket_queued_bytes(const struct websocket *websocket);

#endif
