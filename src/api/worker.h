/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A short-lived program that works for us: its standard output comes in lines, its standard error is
 * kept for the sentence when it fails, it has a deadline, and it dies with this process.
 */
#ifndef API_WORKER_H
#define API_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct server;
struct worker;

struct worker_end {
	bool ok; /* ended with status 0, in time, and every line fitted */
	/* "krun-image ended with status 1: its last words". */
	char sentence[ERR_TEXT_BYTES_MAX];
};

struct worker_job {
	const char *path;
	char *const *argv;
	int stdin_fd; /* -1: /dev/null; stays the caller's */
	int64_t timeout_ms;
	size_t line_bytes_max;
	/* May be NULL. `line` is NUL-terminated. */
	void (*on_line)(void *user, const char *line, size_t length);
	/* Once, when the program is reaped; the worker is gone after it. */
	void (*on_end)(void *user, const struct worker_end *end);
};

/* `job` is copied; argv only needs to live during the call. */
int worker_start(struct server *server, const struct worker_job *job, void *user,
		 struct worker **ret_worker, struct err *err) _must_check_;

/* on_end still comes. */
void worker_kill(struct worker *worker);

#endif
