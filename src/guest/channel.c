/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"

/* A frame of data is as long as a packet of vsock and as what those who relay it read at once. */
#define DATA_BYTES_MAX (LIMIT_PAYLOAD_BYTES - WIRE_HEAD_BYTES)
/* More places than a pipe of a window has, for a head before all that may lie in that. */
#define FRAME_PIPE_BYTES ((int)(2 * LIMIT_WINDOW_BYTES))

void channel_open(struct channel *channel, int fd, bool connecting)
{
	channel->fd = fd;
	channel->connecting = connecting;
	channel->ended = false;
	channel->in_start = channel->in_end = 0;
	channel->out_start = channel->out_end = 0;
}

void channel_close(struct channel *channel)
{
	fd_close(&channel->fd);
	channel->connecting = false;
	channel->ended = true;
	channel->in_start = channel->in_end = 0;
	channel->out_start = channel->out_end = 0;
}

int channel_events(const struct channel *channel)
{
	if (channel->ended)
		return 0;
	if (channel->connecting)
		return POLLOUT;
	return POLLIN | (channel_is_flushed(channel) ? 0 : POLLOUT);
}

void channel_receive(struct channel *channel)
{
	ssize_t n;

	if (channel->ended || channel->connecting)
		return;
	memmove(channel->in, channel->in + channel->in_start, channel->in_end - channel->in_start);
	channel->in_end -= channel->in_start;
	channel->in_start = 0;
	if (channel->in_end == sizeof(channel->in))
		return;
	n = read(channel->fd, channel->in + channel->in_end, sizeof(channel->in) - channel->in_end);
	if (n > 0)
		channel->in_end += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		channel->ended = true;
}

bool channel_next(struct channel *channel, struct wire_frame *ret_frame)
{
	size_t used;
	int r;

	if (channel->in_start == channel->in_end)
		return false;
	r = wire_frame_parse(channel->in + channel->in_start, channel->in_end - channel->in_start,
			     ret_frame, &used);
	if (r == 0)
		channel->in_start += used;
	else if (r != -EAGAIN)
		channel->ended = true;
	return r == 0;
}

/* Moves what is queued to the front; returns the room behind it. */
static size_t out_room(struct channel *channel)
{
	memmove(channel->out, channel->out + channel->out_start,
		channel->out_end - channel->out_start);
	channel->out_end -= channel->out_start;
	channel->out_start = 0;
	return sizeof(channel->out) - channel->out_end;
}

void channel_send(struct channel *channel, enum wire_type type, uint8_t stream,
		  const struct wire_message *message, const void *from)
{
	/* The second time after having made room. */
	for (int attempt = 0; attempt < 2 && !channel->ended; attempt++) {
		size_t room = out_room(channel);
		long n = wire_pack(type, stream, message, from, channel->out + channel->out_end,
				   room);

		if (n > 0) {
			channel->out_end += (size_t)n;
			return;
		}
		channel_flush(channel);
	}
}

uint8_t *channel_data_begin(struct channel *channel, size_t *ret_size)
{
	size_t room;

	*ret_size = 0;
	if (channel->ended)
		return NULL;
	room = out_room(channel);
	if (room >= WIRE_HEAD_BYTES + CHANNEL_DATA_BYTES_MIN + CHANNEL_RESERVE_BYTES)
		*ret_size = MIN(room - WIRE_HEAD_BYTES - CHANNEL_RESERVE_BYTES, DATA_BYTES_MAX);
	return channel->out + channel->out_end + WIRE_HEAD_BYTES;
}

void channel_data_end(struct channel *channel, enum wire_type type, uint8_t stream, size_t length)
{
	assert(channel->out_end + WIRE_HEAD_BYTES + length <= sizeof(channel->out));
	wire_frame_head(channel->out + channel->out_end, type, stream, length);
	channel->out_end += WIRE_HEAD_BYTES + length;
}

/* A pipe through which frames go to a socket, as large as any that a program prints into. */
static bool frame_pipe(int ret_ends[2])
{
	static int ends[2] = {-1, -1};

	if (ends[0] < 0 && (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ||
			    fcntl(ends[1], F_SETPIPE_SZ, FRAME_PIPE_BYTES) < 0)) {
		fd_close(&ends[0]);
		fd_close(&ends[1]);
	}
	memcpy(ret_ends, ends, sizeof(ends));
	return ends[0] >= 0;
}

/* False: there are not as many. */
static bool queue_from(struct channel *channel, int pipe_fd, size_t length)
{
	while (length > 0) {
		ssize_t n = read(pipe_fd, channel->out + channel->out_end, length);

		if (n <= 0)
			return false;
		channel->out_end += (size_t)n;
		length -= (size_t)n;
	}
	return true;
}

int channel_splice(struct channel *channel, enum wire_type type, uint8_t stream, int pipe_fd,
		   size_t length)
{
	uint8_t head[WIRE_HEAD_BYTES];
	size_t rest;
	ssize_t moved, sent;
	int ends[2];

	assert(channel_is_flushed(channel) && length <= CHANNEL_SPLICE_BYTES_MAX);
	if (!frame_pipe(ends))
		return -EAGAIN;
	(void)out_room(channel);
	wire_frame_head(head, type, stream, length);
	if (write(ends[1], head, sizeof(head)) != sizeof(head))
		return -EAGAIN;
	moved = splice(pipe_fd, NULL, ends[1], NULL, length, SPLICE_F_NONBLOCK);
	moved = MAX(moved, 0);
	rest = sizeof(head) + (size_t)moved;
	sent = splice(ends[0], NULL, channel->fd, NULL, rest, SPLICE_F_NONBLOCK);
	sent = MAX(sent, 0);
	if (queue_from(channel, ends[0], rest - (size_t)sent) &&
	    queue_from(channel, pipe_fd, length - (size_t)moved))
		return 0;
	channel->ended = true;
	return -EPIPE;
}

static void finish_connecting(struct channel *channel)
{
	struct pollfd fd = {.fd = channel->fd, .events = POLLOUT};
	socklen_t length = sizeof(int);
	int error = 0;

	if (poll(&fd, 1, 0) <= 0)
		return;
	channel->connecting = false;
	if (getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error != 0)
		channel->ended = true;
}

void channel_flush(struct channel *channel)
{
	if (channel->connecting)
		finish_connecting(channel);
	while (!channel->ended && !channel->connecting && channel->out_start < channel->out_end) {
		ssize_t n = write(channel->fd, channel->out + channel->out_start,
				  channel->out_end - channel->out_start);

		/* A virtio-serial port whose queue is full may also say 0. */
		if (n == 0 || (n < 0 && errno == EAGAIN))
			break;
		if (n > 0)
			channel->out_start += (size_t)n;
		else if (errno != EINTR)
			channel->ended = true;
	}
}

bool channel_is_flushed(const struct channel *channel)
{
	return channel->ended || channel->out_start == channel->out_end;
}

bool channel_is_delivered(const struct channel *channel)
{
	int unsent = 0;

	if (!channel_is_flushed(channel))
		return false;
	return channel->ended || ioctl(channel->fd, TIOCOUTQ, &unsent) < 0 || unsent == 0;
}
