/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reaping. SIGCHLD is only the fast path for krun-vmm, whose machines outlive this process and may
 * not be its children; workers are always ours.
 */
#ifndef API_CHILD_H
#define API_CHILD_H

#include <sys/types.h>

struct child;
struct server;

int children_init(struct server *server) __attribute__((warn_unused_result));
void children_done(struct server *server);

/* `on_exit` gets waitpid's status, once; the child is gone after it. */
struct child *child_watch(struct server *server, pid_t pid, void (*on_exit)(void *user, int status),
			  void *user);

/* Still reaped, but nobody is told. NULL is fine. */
void child_forget(struct child *child);

/* Does now what SIGCHLD would cause later, if it has ended. NULL is fine. */
void child_try_reap(struct child *child);

/* "ended with status 1", "was killed by signal 9". */
void child_describe(int status, char *ret_text, size_t size);

#endif
