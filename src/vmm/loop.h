/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: descriptors to watch, each with a function, over poll(2). A supervisor watches a
 * few dozen descriptors and sits beside every machine, so it is kept this small.
 *
 * A watch lives in the struct that it serves. It may be removed at any time, also by the function
 * that is being called for it or for another one: a removed watch is not called any more, so its
 * owner may then free it.
 */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

struct loop_watch {
	int fd;       /* not owned; negative while it is not in a loop */
	short events; /* POLLIN, POLLOUT; may be changed between turns. Ends are always reported */
	void (*ready)(struct loop_watch *watch, short events);
	void *owner;
};

struct loop {
	struct loop_watch **watches; /* NULL: removed, swept at the next turn */
	struct pollfd *pollfds;
	size_t count, allocated;
};

void loop_init(struct loop *loop);
void loop_done(struct loop *loop);

void loop_add(struct loop *loop, struct loop_watch *watch);

/* Nothing happens when it is not in the loop. Sets its descriptor to -1 without closing it. */
void loop_remove(struct loop *loop, struct loop_watch *watch);

/* Waits for events until `deadline_ms` (INT64_MAX: none) and calls. A signal ends the wait early. */
int loop_turn(struct loop *loop, int64_t deadline_ms) _must_check_;

#endif
