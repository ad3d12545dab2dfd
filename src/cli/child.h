/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of others that commands run. They stay in our process group, so that an interrupt at the
 * keyboard ends them too. Status is wait(2)'s.
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Runs to the end and collects what it prints on both outputs (cut at the buffer's maximum). Past
 * `timeout_ms` it is killed: -ETIME.
 */
int child_ask(char *const *argv, int timeout_ms, struct buf *output, int *ret_status,
	      struct err *err) _must_check_;

/* What a program prints while it runs. */
struct child_watch {
	struct buf *kept; /* the end of it */
	bool show;        /* on standard error too, as it comes */
	/* Called with each part, and ten times a second with nothing. */
	void (*take)(void *user, const char *data, size_t length);
	void *user;
};

/*
 * Runs to the end, as long as that takes, its outputs on our standard error as they come. With a
 * `watch`, they pass through us instead; else the program sees a terminal where there is one.
 */
int child_show(char *const *argv, const struct child_watch *watch, int *ret_status,
	       struct err *err) _must_check_;

/* Starts it with its standard output as a pipe, its standard error on `err_fd`. */
int child_pipe(char *const *argv, int err_fd, pid_t *ret_pid, int *ret_fd,
	       struct err *err) _must_check_;

/* Waits; -ETIME after `timeout_ms`, the child is then killed and reaped too. */
int child_wait(pid_t pid, int timeout_ms, int *ret_status) _must_check_;

/* Kills and reaps; harmless for 0. */
void child_kill(pid_t pid);

/* "podman build ended with 1", "was killed by signal 9", on the heap. */
char *child_status_text(char *const *argv, int status) _must_check_;

#endif
