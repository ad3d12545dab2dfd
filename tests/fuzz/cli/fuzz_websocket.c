/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server sends behind the handshake. The first byte says how much of it was read with the
 * handshake; the client is held and let go on now and then. Messages are never longer than allowed,
 * few come while it is held, and the end of the bytes is the end.
 */
#include <stdlib.h>

#include "../../../src/cli/websocket.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 100000

/* No handshake here. */
int client_begin(struct client *client, const struct client_request *request,
		 struct client_call **ret_call, struct err *err)
{
	abort();
}

int client_step(struct client *client, int fd, int timeout_ms, struct err *err)
{
	abort();
}

bool client_call_is_done(const struct client_call *call)
{
	abort();
}

int client_end(struct client_call *call, struct buf *ret_answer, struct err *err)
{
	abort();
}

int client_end_upgrade(struct client_call *call, const char *key, int *ret_fd, struct buf *ret_rest,
		       struct err *err)
{
	abort();
}

struct heard {
	struct websocket *websocket;
	size_t bytes;
	size_t held_bytes; /* of messages that came though it was held */
};

static void hear(void *user, bool text, const uint8_t *data, size_t length)
{
	struct heard *heard = user;

	heard->held_bytes = heard->websocket->is_held ? heard->held_bytes + length : 0;
	if (length > WEBSOCKET_MESSAGE_BYTES_MAX || heard->held_bytes > WEBSOCKET_AHEAD_BYTES)
		abort();
	heard->bytes += length;
	if ((heard->bytes & 1) != 0)
		websocket_hold(heard->websocket, true);
}

static void drive(struct websocket *websocket, int peer, struct heard *heard)
{
	char sink[4096];
	int r = 0;

	for (int i = 0; r == 0; i++) {
		struct pollfd poll_fd = {.fd = websocket_fd(websocket),
					 .events = websocket_poll_events(websocket)};

		if (i > STEPS_MAX)
			abort();
		if (websocket->is_held)
			websocket_hold(websocket, false);
		(void)!poll(&poll_fd, 1, 0);
		r = websocket_step(websocket, poll_fd.revents);
		(void)!recv(peer, sink, sizeof(sink), MSG_DONTWAIT);
	}
	if (r != 1 && r != -ECONNRESET && r != -EPROTO)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard heard = {0};
	struct buf rest;
	int fds[2];

	if (size < 1 || size > 32 * 1024)
		return 0;
	if (fd_socketpair(fds) < 0 || fd_set_nonblock(fds[0], true) < 0)
		abort();
	buf_init(&rest, READ_BYTES);
	if (buf_append(&rest, data + 1, MIN((size_t)data[0], size - 1)) < 0 ||
	    write(fds[1], data + 1 + rest.length, size - 1 - rest.length) < 0)
		abort();
	shutdown(fds[1], SHUT_WR);
	heard.websocket = make(fds[0], &rest, hear, &heard);
	drive(heard.websocket, fds[1], &heard);
	websocket_free(heard.websocket);
	fd_close(fds[1]);
	buf_done(&rest);
	return 0;
}
