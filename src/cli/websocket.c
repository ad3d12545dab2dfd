/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/rand.h"
#include "dial.h"
#include "handshake.h"

#define READ_BYTES      (128 * 1024)
#define WRITE_BYTES_MAX (256 * 1024)
#define STEP_MS         1000

struct websocket {
	int fd;
	struct wslay_event_context *context;
	websocket_message_fn *on_message;
	void *user;
	struct buf in; /* read, not yet taken by wslay from `in_at` on */
	size_t in_at;
	struct buf out; /* framed, not yet sent from `out_at` on */
	size_t out_at;
	bool is_held;
	bool is_closed; /* the peer's close has come */
};

/* ---- wslay's calls ---- */

static ssize_t on_receive(struct wslay_event_context *context, uint8_t *to, size_t length,
			  int flags, void *user)
{
	struct websocket *websocket = user;

	length = MIN(length, websocket->in.length - websocket->in_at);
	if (length == 0 || websocket->is_held) {
		wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(to, websocket->in.data + websocket->in_at, length);
	websocket->in_at += length;
	return (ssize_t)length;
}

static ssize_t on_send(struct wslay_event_context *context, const uint8_t *data, size_t length,
		       int flags, void *user)
{
	struct websocket *websocket = user;

	if (buf_append(&websocket->out, data, length) < 0) {
		wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	return (ssize_t)length;
}

static int on_mask(struct wslay_event_context *context, uint8_t *mask, size_t length, void *user)
{
	rand_bytes(mask, length);
	return 0;
}

static void on_whole_message(struct wslay_event_context *context,
			     const struct wslay_event_on_msg_recv_arg *message, void *user)
{
	struct websocket *websocket = user;

	if (message->opcode == WSLAY_CONNECTION_CLOSE)
		websocket->is_closed = true;
	else if (!wslay_is_ctrl_frame(message->opcode) && !websocket->is_closed)
		websocket->on_message(websocket->user, message->opcode == WSLAY_TEXT_FRAME,
				      message->msg, message->msg_length);
}

/* ---- life ---- */

static struct websocket *make(int fd, struct buf *rest, websocket_message_fn *on_message,
			      void *user)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_receive,
		.send_callback = on_send,
		.genmask_callback = on_mask,
		.on_msg_recv_callback = on_whole_message,
	};
	struct websocket *websocket = mem_new(struct websocket);

	websocket->fd = fd;
	websocket->on_message = on_message;
	websocket->user = user;
	buf_init(&websocket->in, READ_BYTES);
	buf_init(&websocket->out, WRITE_BYTES_MAX);
	/* What came behind the handshake, less than one read of it. */
	if (rest->length > 0)
		(void)!buf_append(&websocket->in, rest->data, rest->length);
	if (wslay_event_context_client_init(&websocket->context, &callbacks, websocket) < 0)
		abort(); /* no memory (base/mem.h) */
	wslay_event_config_set_max_recv_msg_length(websocket->context, WEBSOCKET_MESSAGE_BYTES_MAX);
	return websocket;
}

int websocket_open(struct client *client, const char *path, websocket_message_fn *on_message,
		   void *user, struct websocket **ret_websocket, struct err *err)
{
	char key[HANDSHAKE_KEY_BYTES];
	struct client_request request = {.method = "GET", .path = path, .websocket_key = key};
	_cleanup_buf_ struct buf rest = {0};
	struct client_call *call;
	int r, fd;

	handshake_make_key(key);
	r = client_begin(client, &request, &call, err);
	if (r < 0)
		return r;
	while (!client_call_is_done(call)) {
		r = client_step(client, -1, STEP_MS, err);
		if (r < 0) {
			client_end(call, NULL, NULL);
			return r;
		}
	}
	r = client_end_upgrade(call, key, &fd, &rest, err);
	if (r >= 0)
		*ret_websocket = make(fd, &rest, on_message, user);
	return r;
}

void websocket_free(struct websocket *websocket)
{
	if (websocket == NULL)
		return;
	wslay_event_context_free(websocket->context);
	fd_close(websocket->fd);
	buf_done(&websocket->in);
	buf_done(&websocket->out);
	free(websocket);
}

/* ---- work ---- */

int websocket_fd(const struct websocket *websocket)
{
	return websocket->fd;
}

static bool has_output(const struct websocket *websocket)
{
	return websocket->out.length > 0 || wslay_event_want_write(websocket->context);
}

short websocket_poll_events(const struct websocket *websocket)
{
	return (short)((websocket->is_held ? 0 : POLLIN) | (has_output(websocket) ? POLLOUT : 0));
}

bool websocket_is_ready(const struct websocket *websocket)
{
	return !websocket->is_held && websocket->in_at < websocket->in.length;
}

static int take_all(struct websocket *websocket)
{
	if (wslay_event_recv(websocket->context) < 0)
		return -EPROTO;
	/* It has seen something that breaks the protocol, and wants to say so. */
	if (!wslay_event_get_read_enabled(websocket->context) && !websocket->is_closed)
		return -EPROTO;
	return websocket->is_closed ? 1 : 0;
}

static int read_some(struct websocket *websocket)
{
	char *to;
	ssize_t n;
	int r;

	r = take_all(websocket);
	if (r != 0 || websocket->is_held)
		return r;
	/* All was taken. */
	buf_clear(&websocket->in);
	websocket->in_at = 0;
	r = buf_reserve(&websocket->in, READ_BYTES, &to);
	if (r < 0)
		return r;
	n = recv(websocket->fd, to, READ_BYTES, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -ECONNRESET;
	if (n == 0)
		return -ECONNRESET;
	buf_commit(&websocket->in, (size_t)n);
	return take_all(websocket);
}

static int write_some(struct websocket *websocket)
{
	struct buf *out = &websocket->out;
	ssize_t n;

	if (wslay_event_want_write(websocket->context) && wslay_event_send(websocket->context) < 0)
		return -EPROTO;
	if (out->length == 0)
		return 0;
	n = dial_send(websocket->fd, out->data + websocket->out_at,
		      out->length - websocket->out_at);
	if (n < 0)
		return n == -EAGAIN || n == -EINTR ? 0 : -ECONNRESET;
	websocket->out_at += (size_t)n;
	if (websocket->out_at == out->length) {
		buf_clear(out);
		websocket->out_at = 0;
	}
	return 0;
}

int websocket_step(struct websocket *websocket, short revents)
{
	int sent = write_some(websocket), r = 0;

	if (websocket_is_ready(websocket) || (revents & (POLLIN | POLLHUP | POLLERR)) != 0)
		r = read_some(websocket);
	/* What it said before it went away counts more than that it did. */
	return r != 0 ? r : sent;
}

void websocket_hold(struct websocket *websocket, bool hold)
{
	websocket->is_held = hold;
}

/* ---- messages ---- */

static void queue(struct websocket *websocket, uint8_t opcode, const void *data, size_t length)
{
	const struct wslay_event_msg message = {.opcode = opcode,
						.msg = data,
						.msg_length = length};

	/* After a close nothing goes out any more, and nobody is left to miss it. */
	(void)!wslay_event_queue_msg(websocket->context, &message);
}

void websocket_send(struct websocket *websocket, uint8_t channel, const void *data, size_t length)
{
	_cleanup_free_ uint8_t *message = mem_zalloc(length + 1);

	message[0] = channel;
	if (length > 0)
		memcpy(message + 1, data, length);
	queue(websocket, WSLAY_BINARY_FRAME, message, length + 1);
}

void websocket_send_text(struct websocket *websocket, const char *text)
{
	queue(websocket, WSLAY_TEXT_FRAME, text, strlen(text));
}

void websocket_pong(struct websocket *websocket)
{
	queue(websocket, WSLAY_PONG, NULL, 0);
}

size_t websocket_queued_bytes(const struct websocket *websocket)
{
	return wslay_event_get_queued_msg_length(websocket->context) + websocket->out.length;
}
