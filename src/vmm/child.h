/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that the supervisor started and reaps: the VM process, krun-net. It dies with the
 * supervisor. Until it is reaped its pid cannot become somebody else's, so it may be signalled.
 */
#ifndef VMM_CHILD_H
#define VMM_CHILD_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/proc.h"
#include "base/spawn.h"

struct child {
	struct proc_id id; /* pid 0: never started */
	bool running;      /* not reaped yet */
	int status;        /* of wait(2), once it is not running any more */
};

/*
 * Starts the program in a session of its own, to die with this process, and writes `input` to its
 * standard input, which must take it within seconds. `spawn` names the other descriptors.
 */
int child_start(struct child *child, const struct spawn *spawn, const struct buf *input,
		struct err *err) _must_check_;

/* Reaps it if it has ended. True when that happened now. */
bool child_reap(struct child *child);

/* Was it stopped (SIGSTOP) and goes on now? Asked at SIGCHLD; true once for each time. */
bool child_continued(const struct child *child);

void child_kill(struct child *child, int sig);

/* Waits until `deadline_ms`, kills it if it is still there then, and reaps it. */
void child_end(struct child *child, int64_t deadline_ms);

#endif
