/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One turn of the event loop at a time: everybody says what to wait for, loop_wait() waits and calls.
 *
 * The list is made anew for each turn, so nothing is ever registered for what is gone. A handler may
 * find its descriptor closed by a handler called before it in the same turn: it checks its own state.
 */
#ifndef GUEST_LOOP_H
#define GUEST_LOOP_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/limits.h"

/* A session has a connection, three pipes and a status pipe; 16 for everything else. */
#define LOOP_WATCHES_MAX (5 * LIMIT_SESSIONS + 16)

struct loop {
	struct pollfd fds[LOOP_WATCHES_MAX];
	struct {
		void (*call)(void *owner, short events);
		void *owner;
	} handlers[LOOP_WATCHES_MAX];
	size_t count;
	uint64_t deadline_ns;
};

void loop_begin(struct loop *loop);

/* Nothing when fd is -1 or there are no events to wait for. */
void loop_watch(struct loop *loop, int fd, int events, void (*call)(void *owner, short events),
		void *owner);

/* The turn ends at this time at the latest. */
void loop_wake_at(struct loop *loop, uint64_t deadline_ns);

void loop_wait(struct loop *loop);

#endif
