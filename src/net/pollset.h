/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one turn of the loop waits for: descriptors and the nearest deadline. Filled anew each turn
 * by everyone who has something to wait for, then asked after poll(2).
 */
#ifndef NET_POLLSET_H
#define NET_POLLSET_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

/* Sockets of libslirp, and so flows at one time; the limit of open files is set to fit. */
#define POLLSET_STACK_FDS_MAX 1024
#define POLLSET_OTHER_FDS_MAX 128 /* frames, control, DNS */
#define POLLSET_FDS_MAX       (POLLSET_STACK_FDS_MAX + POLLSET_OTHER_FDS_MAX)

struct pollset {
	size_t count;
	int64_t deadline_ms; /* clock_monotonic_ms(); INT64_MAX: none */
	struct pollfd fds[POLLSET_FDS_MAX];
};

static inline void pollset_clear(struct pollset *set)
{
	set->count = 0;
	set->deadline_ms = INT64_MAX;
}

/* Index to ask for later; -1 when the set is full. */
static inline int pollset_add(struct pollset *set, int fd, short events)
{
	if (set->count >= POLLSET_FDS_MAX)
		return -1;
	set->fds[set->count] = (struct pollfd){.fd = fd, .events = events};
	return (int)set->count++;
}

static inline void pollset_wake_at(struct pollset *set, int64_t deadline_ms)
{
	if (deadline_ms < set->deadline_ms)
		set->deadline_ms = deadline_ms;
}

static inline short pollset_events(const struct pollset *set, int index)
{
	return index >= 0 ? set->fds[index].revents : 0;
}

#endif
