/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a state of a machine, with a deadline.
 *
 *	target	reached when			failed when	never when
 *	READY	it was ready in this start	failed		stopped without having been ready
 *	RUNNING	running				failed
 *	STOPPED	stopped				failed
 *	FAILED	failed
 *	REST	stopped, failed, created
 *	DELETED	it is gone
 *
 * What is so already is answered at once, READY also when the machine has ended since.
 *
 * A machine that its policy is about to start again has not ended: STOPPED, FAILED and REST wait on,
 * and so does a wait for READY or RUNNING that begins then. One that began before hears of the
 * failure of the start that it waited for.
 */
#ifndef API_WAITER_H
#define API_WAITER_H

#include <stdint.h>

#include "base/macro.h"

struct machine;
struct waiter;

enum wait_target {
	WAIT_READY,
	WAIT_RUNNING,
	WAIT_STOPPED,
	WAIT_FAILED_STATE,
	WAIT_DELETED_STATE,
	WAIT_REST,
};

enum wait_outcome {
	WAIT_REACHED,
	WAIT_FAILED,
	WAIT_NEVER,
	WAIT_DELETED, /* while something else was waited for; `machine` is there one last time */
	WAIT_TIMEOUT,
};

/* "ready", "running", "stopped", "failed", "deleted". -EINVAL. */
int wait_target_parse(const char *name, enum wait_target *ret_target) _must_check_;

/*
 * Calls `on_end` once, maybe from within; the wait is gone after it. `ret_waiter` is set before that,
 * so that waiter_free() can end it earlier.
 */
void waiter_new(struct machine *machine, enum wait_target target, int64_t timeout_ms,
		void (*on_end)(void *user, enum wait_outcome outcome,
			       const struct machine *machine),
		void *user, struct waiter **ret_waiter);
void waiter_free(struct waiter *waiter);

#endif
