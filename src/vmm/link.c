/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "bulk.h"

/* How long a peer that was told the end may take to close. */
#define LINGER_MS 2000
/* How much link_drain() takes at most: all buffers of a socket pair several times over. */
#define DRAIN_READS_MAX 256

static void on_ready(struct loop_watch *watch, short events);

void link_init(struct link *link, struct loop *loop, const struct link_calls *calls, void *owner)
{
	*link = (struct link){
		.watch = {.fd = -1, .ready = on_ready, .owner = link},
		.loop = loop,
		.calls = calls,
		.owner = owner,
		.linger_ms = INT64_MAX,
	};
	buf_init(&link->in, WIRE_FRAME_BYTES_MAX);
}

void link_done(struct link *link)
{
	link_close(link);
	buf_done(&link->in);
	buf_done(&link->out);
}

int link_open(struct link *link, int fd, size_t out_bytes_max)
{
	int r;

	r = fd_set_nonblock(fd, true);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	buf_init(&link->out, out_bytes_max);
	link->watch.fd = fd;
	link->watch.events = POLLIN;
	loop_add(link->loop, &link->watch);
	return 0;
}

void link_close(struct link *link)
{
	int fd = link->watch.fd;

	loop_remove(link->loop, &link->watch);
	fd_close(fd);
}

static void break_off(struct link *link, int error)
{
	if (!link_is_open(link))
		return;
	link_close(link);
	link->calls->closed(link, error);
}

static void update_events(struct link *link)
{
	link->watch.events = (short)((link->paused && !link->closing ? 0 : POLLIN) |
				     (link->out.length > 0 ? POLLOUT : 0));
}

static void linger(struct link *link)
{
	if (link->half_closes)
		(void)shutdown(link->watch.fd, SHUT_WR);
	link->linger_ms = clock_monotonic_ms() + LINGER_MS;
}

static void consume_out(struct link *link, size_t written)
{
	size_t bytes_max = link->out.bytes_max;

	if (written > link->data_head)
		link->data_open = false;
	else
		link->data_head -= written;
	buf_consume(&link->out, written);
	if (link->out.length == 0) {
		buf_done(&link->out);
		buf_init(&link->out, bytes_max);
	}
}

/* Writes what the peer takes. `in_call`: the owner is sending and is not called back. */
static void write_out(struct link *link, bool in_call)
{
	size_t written = 0;
	ssize_t n = 0;

	while (written < link->out.length) {
		n = write(link->watch.fd, link->out.data + written, link->out.length - written);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		written += (size_t)n;
	}
	/* The peer is gone; what it said before is still to be read, and then its end is seen. */
	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		written = link->out.length;
	consume_out(link, written);
	update_events(link);
	if (in_call || link->out.length > 0)
		return;
	if (link->closing)
		linger(link);
	else if (link->calls->drained != NULL)
		link->calls->drained(link);
}

/*
 * While the peer takes nothing, data of the same kind is put behind the data that waits already: a
 * guest that sends byte by byte costs bytes, not frames.
 */
static bool extend_last(struct link *link, uint8_t type, uint8_t stream, const void *payload,
			size_t length)
{
	uint8_t *head;
	size_t old;

	if (!link->data_open || type < WIRE_STDIN || type > WIRE_STDERR)
		return false;
	head = (uint8_t *)link->out.data + link->data_head;
	if (head[4] != type || head[5] != stream)
		return false;
	old = link->out.length - link->data_head - WIRE_HEAD_BYTES;
	if (old + length > LIMIT_PAYLOAD_BYTES || buf_append(&link->out, payload, length) < 0)
		return false;
	head = (uint8_t *)link->out.data + link->data_head;
	wire_frame_head(head, type, stream, old + length);
	return true;
}

/* That lies at the end of the queue. */
static void queue_frame(struct link *link, size_t length)
{
	link->data_head = link->out.length;
	link->data_open = true;
	buf_commit(&link->out, length);
}

int link_send(struct link *link, enum wire_type type, uint8_t stream,
	      const struct wire_message *message, const void *from)
{
	uint8_t frame[1024];
	bool was_empty;
	char *tail;
	long length;
	int r;

	/* Nearly every message is short; a large one is packed again where it goes. */
	length = wire_pack(type, stream, message, from, frame, sizeof(frame));
	if (length >= 0)
		return link_send_raw(link, type, stream, frame + WIRE_HEAD_BYTES,
				     (size_t)length - WIRE_HEAD_BYTES);
	if (!link_is_open(link) || link->closing)
		return -ENOTCONN;
	r = buf_reserve(&link->out, WIRE_FRAME_BYTES_MAX, &tail);
	if (r < 0)
		return r;
	length = wire_pack(type, stream, message, from, (uint8_t *)tail, WIRE_FRAME_BYTES_MAX);
	if (length < 0)
		return (int)length;
	was_empty = link->out.length == 0;
	queue_frame(link, (size_t)length);
	/* With something waiting already, the socket was full a moment ago. */
	if (was_empty)
		write_out(link, true);
	return 0;
}

/* Where nothing waits, a frame need not be copied. Returns what the socket took of it. */
static size_t write_frame(struct link *link, const uint8_t *head, const void *payload,
			  size_t length)
{
	const struct iovec parts[] = {{(void *)head, WIRE_HEAD_BYTES}, {(void *)payload, length}};
	ssize_t n;

	do
		n = writev(link->watch.fd, parts, length > 0 ? 2 : 1);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	/* As in write_out(). */
	return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : WIRE_HEAD_BYTES + length;
}

int link_send_raw(struct link *link, enum wire_type type, uint8_t stream, const void *payload,
		  size_t length)
{
	uint8_t head[WIRE_HEAD_BYTES];
	size_t written = 0;
	char *tail;
	int r;

	if (length > LIMIT_PAYLOAD_BYTES)
		return -EMSGSIZE;
	if (!link_is_open(link) || link->closing)
		return -ENOTCONN;
	if (extend_last(link, (uint8_t)type, stream, payload, length))
		return 0;
	wire_frame_head(head, type, stream, length);
	if (link->out.length == 0 && sizeof(head) + length <= link->out.bytes_max)
		written = write_frame(link, head, payload, length);
	if (written == sizeof(head) + length)
		return 0;
	r = buf_reserve(&link->out, sizeof(head) + length, &tail);
	if (r < 0)
		return r;
	memcpy(tail, head, sizeof(head));
	if (length > 0)
		memcpy(tail + sizeof(head), payload, length);
	queue_frame(link, sizeof(head) + length);
	consume_out(link, written);
	update_events(link);
	return 0;
}

static void finish(struct link *link, bool half_closes)
{
	if (!link_is_open(link) || link->closing)
		return;
	link->closing = true;
	link->half_closes = half_closes;
	if (link->out.length == 0)
		linger(link);
	update_events(link);
}

void link_finish(struct link *link)
{
	finish(link, true);
}

void link_await_end(struct link *link)
{
	finish(link, false);
}

void link_expire(struct link *link, int64_t now_ms)
{
	if (link->linger_ms > now_ms)
		return;
	link->linger_ms = INT64_MAX;
	break_off(link, 0);
}

/* Delivers every whole frame. A frame's function may pause or close the link. */
static int deliver(struct link *link)
{
	size_t at = 0, used;
	struct wire_frame frame;
	int r = 0;

	link->delivering = true;
	while (r >= 0 && link_is_open(link) && !link->closing && !link->paused) {
		r = wire_frame_parse((const uint8_t *)link->in.data + at, link->in.length - at,
				     &frame, &used);
		if (r < 0)
			break;
		at += used;
		r = link->calls->frame(link, &frame);
	}
	link->delivering = false;
	if (at == link->in.length) {
		buf_done(&link->in);
		buf_init(&link->in, WIRE_FRAME_BYTES_MAX);
	} else {
		buf_consume(&link->in, at);
	}
	return r == -EAGAIN ? 0 : r;
}

void link_pause(struct link *link, bool paused)
{
	int r;

	if (link->paused == paused)
		return;
	link->paused = paused;
	if (!link_is_open(link))
		return;
	update_events(link);
	if (paused || link->delivering || link->in.length == 0)
		return;
	r = deliver(link);
	if (r < 0)
		break_off(link, r);
}

bool link_is_clear(const struct link *link)
{
	return link_is_open(link) && !link->closing && link->out.length == 0 &&
	       link->out.bytes_max >= WIRE_FRAME_BYTES_MAX;
}

/* The head of a frame that may be passed on, whose payload has all arrived. Else what was read is as any. */
static bool read_bulk_head(struct link *link, uint8_t ret_head[WIRE_HEAD_BYTES],
			   struct wire_frame *ret_frame)
{
	size_t waiting, used;
	ssize_t n;

	if (link->calls->bulk == NULL || link->in.length > 0 || link->closing)
		return false;
	waiting = bulk_waiting(link->watch.fd);
	if (waiting < BULK_BYTES_MIN)
		return false;
	n = read(link->watch.fd, ret_head, WIRE_HEAD_BYTES);
	if (n <= 0)
		return false;
	/* Of the payload only the length is looked at. */
	if (n == WIRE_HEAD_BYTES && wire_frame_parse(ret_head, waiting, ret_frame, &used) == 0 &&
	    ret_frame->length >= BULK_BYTES_MIN)
		return true;
	(void)!buf_append(&link->in, ret_head, (size_t)n); /* it is empty */
	return false;
}

/* Passes a large frame on. 0: there is none; else as read_in(). */
static int pass_bulk(struct link *link)
{
	uint8_t head[WIRE_HEAD_BYTES];
	struct wire_frame frame;
	struct link *to;
	int r;

	if (!read_bulk_head(link, head, &frame))
		return 0;
	frame.payload = NULL;
	to = link->calls->bulk(link, &frame);
	if (to == NULL)
		return buf_append(&link->in, head, sizeof(head));
	r = bulk_move(link->watch.fd, to->watch.fd, head, frame.length, &to->out);
	to->data_open = false;
	update_events(to);
	if (r < 0) {
		break_off(link, r);
		return r;
	}
	return 1;
}

/* Of a frame whose head is there no more than belongs to it: the next one may be large. */
static size_t count_wanted(const struct link *link)
{
	const struct buf *in = &link->in;
	size_t whole = WIRE_FRAME_BYTES_MAX;

	if (in->length >= WIRE_HEAD_BYTES)
		whole = wire_frame_bytes((const uint8_t *)in->data);
	if (whole <= in->length || whole > WIRE_FRAME_BYTES_MAX)
		whole = WIRE_FRAME_BYTES_MAX;
	return whole - in->length;
}

/* Reads once. 1: there may be more, 0: nothing now, negative: the link is gone. */
static int read_in(struct link *link)
{
	char *tail;
	size_t room;
	ssize_t n;
	int r = pass_bulk(link);

	if (r != 0)
		return r;
	room = count_wanted(link);
	/* An incomplete frame is never as long as the buffer, so there is always room. */
	r = buf_reserve(&link->in, room, &tail);
	if (r < 0)
		return r;
	n = read(link->watch.fd, tail, room);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
		r = errno == EINTR;
		if (link->in.length == 0) {
			buf_done(&link->in);
			buf_init(&link->in, WIRE_FRAME_BYTES_MAX);
		}
		return r;
	}
	if (n <= 0) {
		break_off(link, n < 0 ? -errno : 0);
		return -EPIPE;
	}
	if (link->closing)
		return 1;
	buf_commit(&link->in, (size_t)n);
	r = deliver(link);
	if (r < 0) {
		break_off(link, r);
		return r;
	}
	return link_is_open(link) ? 1 : -EPIPE;
}

static void on_ready(struct loop_watch *watch, short events)
{
	struct link *link = watch->owner;

	if ((events & POLLOUT) != 0)
		write_out(link, false);
	if (!link_is_open(link))
		return;
	if (link->paused && !link->closing) {
		/* Unread data hides the end; whoever has closed both ways does not want it. */
		if ((events & (POLLHUP | POLLERR | POLLNVAL)) != 0)
			break_off(link, 0);
		return;
	}
	if ((events & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) != 0)
		(void)read_in(link);
}

void link_drain(struct link *link)
{
	for (int i = 0; i < DRAIN_READS_MAX && link_is_open(link); i++) {
		if (read_in(link) <= 0)
			return;
	}
}

void link_flush(struct link *link, int64_t deadline_ms)
{
	while (link_is_open(link) && link->out.length > 0) {
		struct pollfd pollfd = {.fd = link->watch.fd, .events = POLLOUT};
		int left_ms = clock_left_ms(deadline_ms);

		if (left_ms == 0 || (poll(&pollfd, 1, left_ms) < 0 && errno != EINTR))
			return;
		if ((pollfd.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
			link_close(link);
			return;
		}
		write_out(link, true);
	}
}
