/* SPDX-License-Identifier: Apache-2.0 */
#include "outcome.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "wire/signal.h"

#define REASON_BYTES_MAX 2048
#define CONSOLE_LINES    5
#define CODE_SIGNALLED   128

static bool is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static void add_console(const struct outcome *outcome, struct buf *reason)
{
	size_t before = reason->length;

	if (outcome->console == NULL ||
	    buf_append_string(reason, "; the console's last lines: ") < 0)
		return;
	if (!tail_write(outcome->console, CONSOLE_LINES, reason)) {
		reason->length = before;
		reason->data[before] = '\0';
	}
}

static void set_exit(const struct outcome *outcome, struct machine_record *record)
{
	record->has_exit = true;
	record->exit = outcome->exit;
	record->exit.requested = outcome->asked;
}

/* Ended by force because somebody wanted it to end. */
static void set_killed(struct machine_record *record)
{
	record->has_exit = true;
	record->exit = (struct machine_exit){
		.code = CODE_SIGNALLED + WIRE_SIGKILL,
		.signal = WIRE_SIGKILL,
		.requested = true,
	};
}

/* It never ran: the guest says why, with one of the codes 125 to 127. */
static void explain_start(const struct outcome *outcome, struct buf *reason)
{
	if (is_given(outcome->exit_reason)) {
		(void)!buf_append_string(reason, outcome->exit_reason);
		return;
	}
	(void)!buf_printf(reason, "the workload could not be started (exit code %lld)",
			  outcome->exit.code);
	add_console(outcome, reason);
}

static void explain_end(const struct outcome *outcome, struct buf *reason)
{
	if (outcome->backend != NULL)
		outcome->backend->explain(outcome->status, outcome->messages, reason);
	add_console(outcome, reason);
}

/*
 * Killed by somebody else it is lost even after the guest's report: the guest had not finished with
 * its disk.
 */
static bool was_lost(const struct outcome *outcome)
{
	if (outcome->forced)
		return !outcome->exited && !outcome->asked;
	return !outcome->exited ||
	       (WIFSIGNALED(outcome->status) && WTERMSIG(outcome->status) == SIGKILL);
}

static enum machine_state decide(const struct outcome *outcome, struct machine_record *record,
				 struct buf *reason)
{
	if (outcome->exited)
		set_exit(outcome, record);
	if (is_given(outcome->failure)) {
		(void)!buf_append_string(reason, outcome->failure);
		if (!outcome->exited)
			add_console(outcome, reason);
		return MACHINE_STATE_FAILED;
	}
	if (outcome->exited && !outcome->ready && !outcome->asked) {
		explain_start(outcome, reason);
		return MACHINE_STATE_FAILED;
	}
	if (was_lost(outcome)) {
		explain_end(outcome, reason);
		return MACHINE_STATE_FAILED;
	}
	if (!outcome->exited)
		set_killed(record);
	if (is_given(outcome->remark))
		(void)!buf_append_string(reason, outcome->remark);
	return MACHINE_STATE_STOPPED;
}

enum machine_state outcome_decide(const struct outcome *outcome, struct machine_record *record)
{
	_cleanup_buf_ struct buf reason;
	enum machine_state state;

	buf_init(&reason, REASON_BYTES_MAX);
	record->has_exit = false;
	state = decide(outcome, record, &reason);
	mem_replace(&record->reason, reason.length > 0 ? reason.data : NULL);
	return state;
}
