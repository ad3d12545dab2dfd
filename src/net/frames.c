/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "packet.h"

/* How much goes at once when the queue is full, so that making room stays cheap. */
#define DROP_BYTES (FRAMES_QUEUE_BYTES / 4)

static bool is_try_again(int error)
{
	/* ENOBUFS is how macOS says that a socket's buffer is full. */
	return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == EINTR;
}

long frames_read(struct frames_reader *reader, int fd)
{
	ssize_t n;

	if (reader->begin > 0) {
		memmove(reader->data, reader->data + reader->begin, reader->end - reader->begin);
		reader->end -= reader->begin;
		reader->begin = 0;
	}
	n = recv(fd, reader->data + reader->end, sizeof(reader->data) - reader->end, MSG_DONTWAIT);
	if (n < 0)
		return is_try_again(errno) ? -EAGAIN : -errno;
	if (n == 0)
		return -EPIPE;
	reader->end += (size_t)n;
	return n;
}

int frames_next(struct frames_reader *reader, uint8_t **ret_frame, size_t *ret_length)
{
	size_t have = reader->end - reader->begin, length;

	if (have < FRAMES_HEAD_BYTES)
		return -EAGAIN;
	length = get_be32(reader->data + reader->begin);
	static_assert(FRAMES_HEAD_BYTES + LIMIT_FRAME_BYTES <= FRAMES_READ_BYTES, "holds a frame");
	if (length == 0 || length > LIMIT_FRAME_BYTES)
		return -EBADMSG;
	if (have - FRAMES_HEAD_BYTES < length)
		return -EAGAIN;
	*ret_frame = reader->data + reader->begin + FRAMES_HEAD_BYTES;
	*ret_length = length;
	reader->begin += FRAMES_HEAD_BYTES + length;
	return 0;
}

/* Moves what is queued to the front of the memory. */
static void compact(struct frames_queue *queue)
{
	memmove(queue->data, queue->data + queue->begin, queue->end - queue->begin);
	queue->end -= queue->begin;
	queue->begin = 0;
}

/* Drops the oldest whole frames until `bytes` are gone; the partly written one stays in front. */
static void drop_oldest(struct frames_queue *queue, size_t bytes)
{
	size_t from = queue->begin + queue->partial, at = from;

	while (at < queue->end && at - from < bytes) {
		at += FRAMES_HEAD_BYTES + get_be32(queue->data + at);
		queue->dropped++;
	}
	queue->begin = at - queue->partial;
	memmove(queue->data + queue->begin, queue->data + from - queue->partial, queue->partial);
}

uint8_t *frames_reserve(struct frames_queue *queue, size_t length)
{
	size_t bytes = FRAMES_HEAD_BYTES + length;

	assert(length <= LIMIT_FRAME_BYTES);
	static_assert(DROP_BYTES >= FRAMES_HEAD_BYTES + LIMIT_FRAME_BYTES,
		      "makes room for a frame");
	if (queue->begin == queue->end)
		queue->begin = queue->end = 0;
	if (frames_queued_bytes(queue) + bytes > sizeof(queue->data))
		drop_oldest(queue, DROP_BYTES);
	if (sizeof(queue->data) - queue->end < bytes)
		compact(queue);
	return queue->data + queue->end + FRAMES_HEAD_BYTES;
}

void frames_commit(struct frames_queue *queue, uint8_t *frame, size_t length)
{
	assert(frame == queue->data + queue->end + FRAMES_HEAD_BYTES);
	put_be32(queue->data + queue->end, (uint32_t)length);
	queue->end += FRAMES_HEAD_BYTES + length;
}

/* `bytes` of the queue are written: what is left of the frame in which the last of them lies? */
static void advance(struct frames_queue *queue, size_t bytes)
{
	size_t left = bytes;

	if (left < queue->partial) {
		queue->partial -= left;
		queue->begin += left;
		return;
	}
	left -= queue->partial;
	queue->begin += queue->partial;
	queue->partial = 0;
	while (left > 0) {
		size_t whole = FRAMES_HEAD_BYTES + get_be32(queue->data + queue->begin);

		if (left < whole) {
			queue->partial = whole - left;
			queue->begin += left;
			return;
		}
		left -= whole;
		queue->begin += whole;
	}
}

int frames_write(struct frames_queue *queue, int fd)
{
	while (queue->begin < queue->end) {
		ssize_t n = send(fd, queue->data + queue->begin, queue->end - queue->begin,
				 MSG_DONTWAIT);

		if (n < 0)
			return is_try_again(errno) ? 0 : -errno;
		advance(queue, (size_t)n);
	}
	return 0;
}
