/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that carries wire frames: vsock, a virtio-serial port or a unix socket, non-blocking.
 *
 * Its two buffers are part of it and never grow. What is sent waits in `out` until channel_flush(), once
 * in each turn of the loop, so that frames which belong together travel together. Whoever produces data
 * asks for room first, and a small reserve is kept from data for messages, so that an EXIT can always
 * be queued. A channel that ended (end of file, an error, a frame of impossible length) stays so until
 * it is opened again; what is sent into it is dropped.
 */
#ifndef GUEST_CHANNEL_H
#define GUEST_CHANNEL_H

#include <stdbool.h>

#include "wire/message.h"

/* Messages that one turn of the loop may queue beside data: sentences, credits, ends. */
#define CHANNEL_RESERVE_BYTES (8 * KIB)
#define CHANNEL_OUT_BYTES     (WIRE_FRAME_BYTES_MAX + CHANNEL_RESERVE_BYTES)
/* Less room than this is not worth a read. */
#define CHANNEL_DATA_BYTES_MIN (4 * KIB)
/* With its head as many pages as the kernel passes on at once, and whole ones, so that the next are whole too. */
#define CHANNEL_SPLICE_BYTES_MAX (15 * 4 * KIB)

struct channel {
	int fd; /* -1: none */
	bool connecting;
	bool ended;
	size_t in_start, in_end;
	size_t out_start, out_end;
	uint8_t in[WIRE_FRAME_BYTES_MAX];
	uint8_t out[CHANNEL_OUT_BYTES];
};

/* Takes the descriptor over. `connecting`: connect(2) said EINPROGRESS. */
void channel_open(struct channel *channel, int fd, bool connecting);
void channel_close(struct channel *channel);

/* What to wait for; 0 when it ended. */
int channel_events(const struct channel *channel);

/* Reads once, when poll said so. */
void channel_receive(struct channel *channel);

/* The next whole frame, valid until the next channel_receive(). False: none (yet). */
bool channel_next(struct channel *channel, struct wire_frame *ret_frame);

/* Queues a message. Dropped when it does not fit or the channel ended. */
void channel_send(struct channel *channel, enum wire_type type, uint8_t stream,
		  const struct wire_message *message, const void *from);

/*
 * Data is read straight into the queue: where it goes, and in *ret_size how much may (0: not now);
 * then channel_data_end() makes a frame of the `length` > 0 bytes that were put there.
 */
uint8_t *channel_data_begin(struct channel *channel, size_t *ret_size);
void channel_data_end(struct channel *channel, enum wire_type type, uint8_t stream, size_t length);

/*
 * The same of the `length` bytes that wait in a pipe that nobody else reads, past our memory as far as the
 * transport takes them. For an empty queue. -EAGAIN: nothing was done, read them; -EPIPE: the pipe did not
 * hold them, and the channel ended.
 */
int channel_splice(struct channel *channel, enum wire_type type, uint8_t stream, int pipe_fd,
		   size_t length);

/* Bytes that are queued. */
static inline size_t channel_queued(const struct channel *channel)
{
	return channel->out_end - channel->out_start;
}

/* Sends what it can. */
void channel_flush(struct channel *channel);
bool channel_is_flushed(const struct channel *channel);

/*
 * The same, and as far as the transport can tell the other side has it: vsock says what the VM process
 * has not taken yet, and a reboot would lose it. Nothing announces it: ask again after a while.
 */
bool channel_is_delivered(const struct channel *channel);

#endif
