/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child's side of process.c: from its beginning to the exec.
 *
 * It lives in a room: memory that holds a copy of what it is to run, its stack, and why it did not work.
 * The child may share all other memory with PID 1 (spawn.h), so nothing else is written, and the room
 * is given back when the child is reaped. There is one for each process that may be beginning.
 */
#ifndef GUEST_EXEC_H
#define GUEST_EXEC_H

#include "platform.h"

#define EXEC_PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct exec_room;

struct exec_plan {
	const struct wire_process *what;    /* copied */
	int stdin_fd, stdout_fd, stderr_fd; /* all above 2; a terminal: all the same */
};

/* NULL: there is none, or the process does not fit into one. */
struct exec_room *exec_room_take(const struct exec_plan *plan);
void exec_room_give_back(struct exec_room *room);

/* Begins the child. -errno. */
pid_t exec_room_spawn(struct exec_room *room, enum process_kind kind);

/* Its code is 0 unless the child has ended without an exec. */
const struct failure *exec_room_failure(const struct exec_room *room);

/*
 * One candidate after the other for `name` in a PATH: "" in it is the working directory. Advances
 * *path; false when there is none left. A candidate that is too long is left out.
 */
bool exec_path_next(const char **path, const char *name, char *ret_candidate, size_t size);

/* Value of a variable in a NULL-terminated environment, NULL when it is not there. */
const char *exec_env_get(const char *const *env, const char *name);

#endif
