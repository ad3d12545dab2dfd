/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command in a running machine, to its end. Output is kept up to EXEC_OUTPUT_BYTES_MAX of each
 * stream; what is more is taken and dropped, so the command never hangs on us. Past its time limit it
 * gets SIGKILL. Knows no HTTP.
 */
#ifndef API_EXEC_H
#define API_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "exec_spec.h"

struct exec;
struct machine;

struct exec_result {
	int error; /* 0, or why there is no result: see `err` */
	struct err err;
	uint32_t code, signal;
	bool timed_out, truncated;
	struct buf out, errors; /* may be taken over */
};

/*
 * -EBUSY: the machine does not run. -EDOM: the command does not fit into a message. -EUSERS: too
 * many at once. `on_end` is called once, never from within, unless exec_free() came first, which
 * hangs up on the command; the exec is gone after it.
 */
int exec_new(struct machine *machine, const struct exec_spec *spec,
	     void (*on_end)(void *user, struct exec_result *result), void *user,
	     struct exec **ret_exec, struct err *err) _must_check_;
void exec_free(struct exec *exec);

#endif
