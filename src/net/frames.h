/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on a stream socket: 4-byte big-endian length, then a bare Ethernet frame, both ways. The
 * framing of libkrun's unixstream and of QEMU's "-netdev stream".
 *
 * Reader: gives frames in place, valid until the next frames_read(). A length that no frame can have
 * means that the stream is lost: the caller ends it.
 *
 * Queue: what the other side has not taken yet, at most FRAMES_QUEUE_BYTES. When it is full the
 * oldest frames go, never one of which the other side has seen a part. Its memory is static and
 * touched only as far as it is used.
 */
#ifndef NET_FRAMES_H
#define NET_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"
#include "wire/limits.h"

#define FRAMES_HEAD_BYTES  4
#define FRAMES_READ_BYTES  (128 * KIB)
#define FRAMES_QUEUE_BYTES (1 * MIB)

struct frames_reader {
	size_t begin, end;
	uint8_t data[FRAMES_READ_BYTES];
};

struct frames_queue {
	size_t begin, end;
	size_t partial; /* bytes of a frame whose beginning is written, at `begin` */
	uint64_t dropped;
	uint8_t data[FRAMES_QUEUE_BYTES];
};

/* Reads what is there. The number of bytes; -EAGAIN; -EPIPE at end of file; what read(2) says. */
long frames_read(struct frames_reader *reader, int fd) _must_check_;

/* The next whole frame. 0; -EAGAIN when there is none yet; -EBADMSG for an impossible length. */
int frames_next(struct frames_reader *reader, uint8_t **ret_frame, size_t *ret_length) _must_check_;

/*
 * Room for a frame of `length` <= LIMIT_FRAME_BYTES; frames_commit() queues what was written there,
 * `length` or less. Without a commit the queue is as before.
 */
uint8_t *frames_reserve(struct frames_queue *queue, size_t length);
void frames_commit(struct frames_queue *queue, uint8_t *frame, size_t length);

/* Writes as much as the descriptor takes. 0, also when something is left; -EPIPE and the like. */
int frames_write(struct frames_queue *queue, int fd) _must_check_;

static inline size_t frames_queued_bytes(const struct frames_queue *queue)
{
	return queue->end - queue->begin;
}

#endif
