/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that carries wire frames both ways without ever blocking: to vminit, to krun-net, to
 * a client of the control socket, to a session in the guest.
 *
 * What is sent and cannot be written yet waits in `out`, at most `out_bytes_max` of it; what has
 * arrived of an incomplete frame waits in `in`. Both are taken when needed and given back when
 * empty: an idle connection costs no buffer.
 *
 * Life cycle: link_init, link_open, link_close (also by the link itself, when the peer is gone or
 * errs: then `closed` is called once, with a reason, after the descriptor is closed), link_done. The
 * struct must outlive the turn of the loop in which it was closed.
 */
#ifndef VMM_LINK_H
#define VMM_LINK_H

#include <stdbool.h>

#include "base/buf.h"
#include "loop.h"
#include "wire/message.h"

struct link;

struct link_calls {
	/* A whole frame. Negative: the peer has erred and loses its connection. */
	int (*frame)(struct link *link, const struct wire_frame *frame);
	/* The peer closed (0), erred (-EBADMSG), or the connection broke (other errno). */
	void (*closed)(struct link *link, int error);
	/* May be NULL. Everything that was queued is written. */
	void (*drained)(struct link *link);
	/*
	 * May be NULL. The link, with nothing queued, that a large frame goes to as it is, unread (bulk.h);
	 * NULL: it comes by `frame`.
	 */
	struct link *(*bulk)(struct link *link, const struct wire_frame *head);
};

struct link {
	struct loop_watch watch;
	struct loop *loop;
	struct buf in, out;
	const struct link_calls *calls;
	void *owner;
	bool paused;       /* link_pause(): nothing is read */
	bool delivering;   /* a function of `calls` is running */
	bool closing;      /* link_finish(): what arrives is thrown away */
	bool half_closes;  /* it tells the peer the end by shutdown() */
	int64_t linger_ms; /* everything is written, the peer's end is awaited: until when */
	size_t data_head;  /* in `out`: where the last frame begins if data may be added to it */
	bool data_open;
};

void link_init(struct link *link, struct loop *loop, const struct link_calls *calls, void *owner);
void link_done(struct link *link);

/* Takes the connected descriptor, whose flags it sets to non-blocking. */
int link_open(struct link *link, int fd, size_t out_bytes_max) _must_check_;

/* Without calling `closed`. */
void link_close(struct link *link);

static inline bool link_is_open(const struct link *link)
{
	return link->watch.fd >= 0;
}

/*
 * Queues a frame and writes what can be written. -ENOBUFS when the queue is full, -EMSGSIZE when the
 * message does not fit into a frame, -ENOTCONN when the link is closed. Write errors are not
 * reported here: `closed` is called in a later turn.
 */
int link_send(struct link *link, enum wire_type type, uint8_t stream,
	      const struct wire_message *message, const void *from) _must_check_;
int link_send_raw(struct link *link, enum wire_type type, uint8_t stream, const void *payload,
		  size_t length) _must_check_;

/* Open, with nothing queued and room for any frame. */
bool link_is_clear(const struct link *link);

/*
 * Stops reading: no further frame is delivered and only the peer's end is noticed. Starting again
 * delivers at once what had arrived already, so `frame` and `closed` may be called from within.
 */
void link_pause(struct link *link, bool paused);

/*
 * Delivers nothing more, writes what is queued, tells the peer the end and awaits its end, then closes
 * and calls `closed` with 0. Closing at once would break what the peer is writing just now, and with
 * it its reading. The owner calls link_expire() from `linger_ms` on, for a peer that stays.
 */
void link_finish(struct link *link);

/*
 * The same for a peer that the last frame tells to close: its end is awaited, ours is not told. libkrun
 * takes a connection that is closed one way for closed both ways, and then keeps it for seconds.
 */
void link_await_end(struct link *link);
void link_expire(struct link *link, int64_t now_ms);

/* Reads and delivers what has already arrived, up to the peer's end, without waiting. */
void link_drain(struct link *link);

/* Writes what is queued until `deadline_ms`; closes, silently, when the peer is gone. */
void link_flush(struct link *link, int64_t deadline_ms);

#endif
