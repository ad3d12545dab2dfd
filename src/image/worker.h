/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on an output file that leaves it whole or not at all.
 *
 * The work runs in a child, which locks itself in before it looks at anything hostile and so could
 * not even remove the file. The parent only waits: when the child fails, crashes or is killed, or
 * when the parent is asked to stop (SIGTERM, SIGINT, SIGHUP), it removes the file. SIGKILL for the
 * parent takes the child along and leaves the file to whoever sent it.
 */
#ifndef IMAGE_WORKER_H
#define IMAGE_WORKER_H

#include <stdbool.h>

#include "fault.h"

struct worker {
	const char *output_path; /* must not exist */
	/* Runs in the child, with the file open for reading and writing. 0 or -1 with the fault. */
	int (*work)(void *context, int output_fd, struct fault *fault);
	void *context;
	bool events; /* failures are said on standard output too, as events */
};

/* The program's exit status: 0 or 1. Failures have been said when it returns. */
int worker_run(const struct worker *worker);

/* Says a failure on standard error, and on standard output where events are wanted. */
void worker_report(const struct fault *fault, bool events);

#endif
