/* SPDX-License-Identifier: Apache-2.0 */
/* The child's side of process.c: from fork to exec. */
#ifndef GUEST_EXEC_H
#define GUEST_EXEC_H

#include "platform.h"

#define EXEC_PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct exec_plan {
	const struct wire_process *what;
	int status_fd; /* a struct failure is written here unless the exec works */
	int stdin_fd, stdout_fd, stderr_fd; /* all above 2; a terminal: all the same */
};

void exec_child(const struct exec_plan *plan) __attribute__((noreturn));

/*
 * One candidate after the other for `name` in a PATH: "" in it is the working directory. Advances
 * *path; false when there is none left. A candidate that is too long is left out.
 */
bool exec_path_next(const char **path, const char *name, char *ret_candidate, size_t size);

/* Value of a variable in a NULL-terminated environment, NULL when it is not there. */
const char *exec_env_get(const char *const *env, const char *name);

#endif
