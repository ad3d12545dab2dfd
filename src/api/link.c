/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <errno.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"
#include "bounds.h"
#include "server.h"

#define WRITES_MAX   64
#define IN_BYTES_MAX WIRE_FRAME_BYTES_MAX

struct link {
	uv_pipe_t pipe;
	uv_connect_t connect;
	struct server *server;
	const struct link_calls *calls; /* NULL: freed, nobody is told any more */
	void *user;
	struct buf in; /* of a frame that is not whole yet */
	size_t writes;
	int error;
	bool has_hello;
	bool closing;
};

struct output {
	uv_write_t write;
	uint8_t data[];
};

static void on_handle_closed(uv_handle_t *handle)
{
	struct link *link = handle->data;

	if (link->calls != NULL)
		link->calls->on_closed(link->user, link->error);
	buf_done(&link->in);
	free(link);
}

static void link_close(struct link *link, int error)
{
	if (link->closing)
		return;
	link->closing = true;
	link->error = error;
	uv_close((uv_handle_t *)&link->pipe, on_handle_closed);
}

void link_hand_over(struct link *link, const struct link_calls *calls, void *user)
{
	link->calls = calls;
	link->user = user;
}

bool link_is_quiet(const struct link *link)
{
	return link->has_hello && !link->closing && link->writes == 0;
}

void link_free(struct link *link)
{
	if (link == NULL)
		return;
	link->calls = NULL;
	link_close(link, 0);
}

/* ---- out ---- */

static void on_written(uv_write_t *write, int status)
{
	struct link *link = write->handle->data;

	free(write);
	link->writes--;
	if (status < 0)
		link_close(link, status);
	else if (link->writes == 0 && link->calls != NULL && link->calls->on_drained != NULL)
		link->calls->on_drained(link->user);
}

bool link_has_room(const struct link *link)
{
	return link->writes < WRITES_MAX;
}

/* Takes the output. What is sent before the connection stands is queued by libuv. */
static void send_output(struct link *link, struct output *output, size_t length)
{
	uv_buf_t part = uv_buf_init((char *)output->data, (unsigned)length);

	if (link->closing ||
	    uv_write(&output->write, (uv_stream_t *)&link->pipe, &part, 1, on_written) < 0) {
		free(output);
		link_close(link, -EPIPE);
		return;
	}
	link->writes++;
}

int link_send(struct link *link, enum wire_type type, uint8_t stream,
	      const struct wire_message *message, const void *from)
{
	struct output *output;
	long length;

	if (message == NULL) {
		link_send_data(link, type, stream, NULL, 0);
		return 0;
	}
	output = mem_realloc(NULL, sizeof(*output) + WIRE_FRAME_BYTES_MAX);
	length = wire_pack(type, stream, message, from, output->data, WIRE_FRAME_BYTES_MAX);
	if (length < 0) {
		free(output);
		return (int)length;
	}
	output = mem_realloc(output, sizeof(*output) + (size_t)length);
	send_output(link, output, (size_t)length);
	return 0;
}

void link_send_data(struct link *link, enum wire_type type, uint8_t stream, const void *data,
		    size_t length)
{
	struct output *output = mem_realloc(NULL, sizeof(*output) + WIRE_HEAD_BYTES + length);

	wire_frame_head(output->data, type, stream, length);
	if (length > 0)
		memcpy(output->data + WIRE_HEAD_BYTES, data, length);
	send_output(link, output, WIRE_HEAD_BYTES + length);
}

/* ---- in ---- */

static int take_hello(struct link *link, const struct wire_frame *frame)
{
	struct wire_hello hello;

	if (frame->type != WIRE_HELLO ||
	    wire_unpack(&wire_hello_message, frame->payload, frame->length, &hello) < 0)
		return -EBADMSG;
	if (hello.version != WIRE_VERSION || hello.role != WIRE_ROLE_VMM)
		return -EPROTO;
	link->has_hello = true;
	link->calls->on_hello(link->user, &hello);
	return 0;
}

/* Delivers whole frames; returns the bytes they took, or a negative errno. */
static long deliver(struct link *link, const uint8_t *data, size_t length)
{
	size_t used_total = 0;

	while (!link->closing) {
		struct wire_frame frame;
		size_t used;
		int r = wire_frame_parse(data + used_total, length - used_total, &frame, &used);

		if (r == -EAGAIN)
			break;
		if (r >= 0)
			r = link->has_hello ? link->calls->on_frame(link->user, &frame)
					    : take_hello(link, &frame);
		if (r < 0)
			return r;
		used_total += used;
	}
	return (long)used_total;
}

/* An idle link holds no buffer. */
static void release_in(struct link *link)
{
	buf_done(&link->in);
	buf_init(&link->in, IN_BYTES_MAX);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct link *link = stream->data;
	long used;

	if (length <= 0) {
		if (length < 0)
			link_close(link, length == UV_EOF ? 0 : (int)length);
		return;
	}
	if (link->in.length > 0) {
		buf_commit(&link->in, (size_t)length);
		used = deliver(link, (uint8_t *)link->in.data, link->in.length);
		if (used >= 0)
			buf_consume(&link->in, (size_t)used);
		if (link->in.length == 0)
			release_in(link);
	} else {
		used = deliver(link, (uint8_t *)buffer->base, (size_t)length);
		if (used >= 0 && used < length && !link->closing &&
		    buf_append(&link->in, buffer->base + used, (size_t)(length - used)) < 0)
			used = -EBADMSG;
	}
	if (used < 0)
		link_close(link, (int)used);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct link *link = handle->data;
	size_t room = IN_BYTES_MAX - link->in.length;
	char *tail = NULL;

	/* The rest of a frame goes where its beginning is; an incomplete one never fills the buffer. */
	if (link->in.length > 0 && buf_reserve(&link->in, room, &tail) >= 0)
		*buffer = uv_buf_init(tail, (unsigned)room);
	else
		*buffer = uv_buf_init(link->server->read_buffer, HTTP_READ_BYTES);
}

static void on_connected(uv_connect_t *connect, int status)
{
	struct link *link = connect->handle->data;

	if (status >= 0)
		status = uv_read_start(connect->handle, on_alloc, on_read);
	if (status < 0)
		link_close(link, status);
}

int link_new(struct server *server, const char *path, enum wire_role role,
	     const struct link_calls *calls, void *user, struct link **ret_link)
{
	const struct wire_hello hello = {.version = WIRE_VERSION, .role = role};
	struct link *link;
	int r;

	if (strlen(path) >= FD_UNIX_PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	link = mem_new(struct link);
	link->server = server;
	link->calls = calls;
	link->user = user;
	buf_init(&link->in, IN_BYTES_MAX);
	uv_pipe_init(server->loop, &link->pipe, 0);
	link->pipe.data = link;
	uv_pipe_connect(&link->connect, &link->pipe, path, on_connected);
	r = link_send(link, WIRE_HELLO, 0, &wire_hello_message, &hello);
	if (r < 0) {
		link_free(link);
		return r;
	}
	*ret_link = link;
	return 0;
}
