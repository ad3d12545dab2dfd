/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Word that this computer's clock has jumped: somebody set it, or the computer slept. Where the
 * kernel tells (Linux, wall_clock_linux.c) nothing wakes up for it; elsewhere the clock is compared
 * with the monotonic one once in a while.
 */
#ifndef VMM_WALL_CLOCK_H
#define VMM_WALL_CLOCK_H

#include "loop.h"

struct wall_clock {
	struct loop *loop;
	struct loop_watch watch; /* of the kernel's word; without descriptor: it is compared */
	int64_t check_at_ms;     /* INT64_MAX: never */
	int64_t offset_ns;       /* to the monotonic clock, when it was compared last */
	void (*jumped)(void *owner);
	void *owner;
};

void wall_clock_open(struct wall_clock *wall, struct loop *loop, void (*jumped)(void *owner),
		     void *owner);
void wall_clock_close(struct wall_clock *wall);

/* From `check_at_ms` on. */
void wall_clock_expire(struct wall_clock *wall, int64_t now_ms);

/* A descriptor that can be read after each jump, and what must be read from it; -ENOSYS. */
int wall_clock_make_fd(int *ret_fd) _must_check_;

#endif
