/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting another program: fork, then exec at once. The child gets exactly the descriptors that
 * are listed, under the numbers that are listed, and nothing else; its signals are at their
 * defaults and unblocked; it leads a session of its own if asked.
 */
#ifndef BASE_SPAWN_H
#define BASE_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"
#include "macro.h"

#define SPAWN_FDS_MAX 64

struct spawn_fd {
	int fd;     /* in this process; -1 for /dev/null */
	int number; /* in the child; 0, 1 and 2 that are not listed become /dev/null */
};

struct spawn {
	const char *path;  /* of the program */
	char *const *argv; /* NULL-terminated, with argv[0] */
	char *const *env;  /* NULL: this process's environment */
	const struct spawn_fd *fds;
	size_t fd_count;      /* at most SPAWN_FDS_MAX */
	bool new_session;     /* setsid(2) */
	bool die_with_parent; /* proc_die_with_parent() */
};

/*
 * Starts the program. Returns only when the exec has succeeded or failed, so a missing program is an
 * error here: -ENOENT, -EACCES and so on, with the path in the sentence. The caller reaps the child
 * and still owns its descriptors.
 */
int spawn_program(const struct spawn *spawn, pid_t *ret_pid, struct err *err) _must_check_;

#endif
