/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being told when a process ends that need not be our child, and without asking again and again:
 * a pidfd on Linux, a kqueue on macOS (watch_linux.c, watch_darwin.c give the descriptor).
 */
#ifndef API_WATCH_H
#define API_WATCH_H

#include <uv.h>

#include "base/proc.h"

struct watch;

/*
 * Calls `on_end` once when the process ends; never from within. -ESRCH when it does not run any
 * more. The watch is there until watch_free(), which may be called in `on_end`.
 */
int watch_new(uv_loop_t *loop, const struct proc_id *id, void (*on_end)(void *user), void *user,
	      struct watch **ret_watch) _must_check_;
void watch_free(struct watch *watch);

/* A descriptor that becomes readable when the process ends. */
int watch_open(pid_t pid, int *ret_fd) _must_check_;

#endif
