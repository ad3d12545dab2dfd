/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a machine ended: from what is known to the state, the exit and the sentence on record. Pure.
 *
 * What the guest reported comes first. Without a report an end that was asked for by force is a
 * stop, with the exit code of SIGKILL; everything else is a failure, with the step that failed and
 * the last lines of the kernel console.
 */
#ifndef VMM_OUTCOME_H
#define VMM_OUTCOME_H

#include "backend.h"
#include "machine/record.h"

struct outcome {
	const struct backend *backend; /* NULL: it was not even chosen */
	const char *failure;           /* why the machine had to fail; NULL or empty: it need not */
	const char *remark;            /* what one should know of a stop; NULL or empty: nothing */
	bool ready;                    /* it was running */
	bool exited;                   /* `exit` is the guest's report */
	bool asked;                    /* to stop or to be killed */
	bool forced;                   /* the VM process was killed by its supervisor */
	int status;                    /* of the VM process, wait(2) */
	struct machine_exit exit;
	const char *exit_reason; /* the guest's sentence; NULL: none */
	const struct tail *console, *messages;
};

/* Sets `exit`, `has_exit` and `reason` of the record; returns the state that it is to move to. */
enum machine_state outcome_decide(const struct outcome *outcome, struct machine_record *record);

#endif
