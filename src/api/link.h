/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of ours to the control socket of a krun-vmm: wire frames both ways.
 *
 * Life cycle: link_new() connects and says HELLO; then frames come. `on_closed` is called once, also
 * when connecting failed, unless link_free() came first. Nothing of it is called from within
 * link_new() or link_send*(). The peer's HELLO is checked here and is not among the frames: it calls
 * `on_hello`.
 */
#ifndef API_LINK_H
#define API_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"
#include "wire/message.h"

struct link;
struct server;

struct link_calls {
	/* The peer is the supervisor of that machine and that start. */
	void (*on_hello)(void *user, const struct wire_hello *hello);
	/* Negative: the peer errs and loses its connection. */
	int (*on_frame)(void *user, const struct wire_frame *frame);
	/* 0: the peer closed; else a negative errno. The link is gone after it. */
	void (*on_closed)(void *user, int error);
	/* May be NULL: all that was queued is written. */
	void (*on_drained)(void *user);
};

/* -ENAMETOOLONG and so on; everything later is told by `on_closed`. */
int link_new(struct server *server, const char *path, enum wire_role role,
	     const struct link_calls *calls, void *user, struct link **ret_link) _must_check_;
void link_free(struct link *link);

/* From now on others are told; nothing of it is pending for those before. */
void link_hand_over(struct link *link, const struct link_calls *calls, void *user);

/* Everything that was sent is written, and the connection stands. */
bool link_is_quiet(const struct link *link);

/* False: what is sent piles up; `on_drained` comes. */
bool link_has_room(const struct link *link);

/* `message` may be NULL for an empty frame. A message that does not fit: -EMSGSIZE. */
int link_send(struct link *link, enum wire_type type, uint8_t stream,
	      const struct wire_message *message, const void *from) _must_check_;
void link_send_data(struct link *link, enum wire_type type, uint8_t stream, const void *data,
		    size_t length);

#endif
