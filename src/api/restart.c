/* SPDX-License-Identifier: Apache-2.0 */
#include "restart.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "machine.h"
#include "server.h"

#define TTL_LOOK_MS (3600 * 1000LL) /* clocks jump: look again, at the latest */

enum chore_kind {
	CHORE_TTL,
	CHORE_RESTART,
	CHORE_REMOVE,
};

struct chore {
	uv_timer_t timer;
	struct machine *machine;
	enum chore_kind kind;
};

/* ---- the timer ---- */

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void restart_forget(struct machine *machine)
{
	struct chore *chore = take_ptr(machine->chore);

	if (chore != NULL)
		uv_close((uv_handle_t *)&chore->timer, on_closed);
}

static void on_timer(uv_timer_t *timer);

static void set_chore(struct machine *machine, enum chore_kind kind, long long ms)
{
	struct chore *chore = machine->chore;

	if (chore == NULL) {
		chore = mem_new(struct chore);
		uv_timer_init(machine->server->loop, &chore->timer);
		chore->timer.data = chore;
		chore->machine = machine;
		machine->chore = chore;
	}
	chore->kind = kind;
	uv_timer_start(&chore->timer, on_timer, (uint64_t)ms, 0);
}

static void remove_machine(struct machine *machine)
{
	struct err err = {0};

	/* What is left undone is done by the next krun-api. */
	if (machine_delete(machine, &err) < 0)
		log_error("machine %s: cannot remove it: %s", machine->id, err.text);
}

static void on_timer(uv_timer_t *timer)
{
	struct chore *chore = timer->data;
	struct machine *machine = chore->machine;

	switch (chore->kind) {
	case CHORE_TTL:
		restart_watch_ttl(machine);
		return;
	case CHORE_RESTART:
		machine_start_again(machine);
		return;
	case CHORE_REMOVE:
		remove_machine(machine);
		return;
	}
}

/* ---- ttl_s ---- */

static bool has_outlived(const struct machine *machine, int64_t now_ns)
{
	return machine->config.ttl_s > 0 && machine->record.started_at != 0 &&
	       now_ns - machine->record.started_at >= machine->config.ttl_s * CLOCK_NS_PER_S;
}

void restart_watch_ttl(struct machine *machine)
{
	int64_t now_ns = clock_realtime_ns();
	long long left_ms;

	if (machine->config.ttl_s == 0 || machine->ttl_over || machine->record.started_at == 0)
		return;
	if (has_outlived(machine, now_ns)) {
		log_info("machine %s: its ttl_s is over", machine->id);
		machine_stop_for_ttl(machine);
		return;
	}
	left_ms = machine->config.ttl_s * 1000 -
		  (now_ns - machine->record.started_at) / CLOCK_NS_PER_MS;
	set_chore(machine, CHORE_TTL, MIN(left_ms + 1, TTL_LOOK_MS));
}

void restart_explain(struct machine *machine)
{
	const struct machine_record *record = &machine->record;
	_cleanup_free_ char *reason = NULL;

	/* Or this krun-api is not the one that stopped it. */
	if (!machine->ttl_over && !machine->stop_asked && record->has_exit &&
	    record->exit.requested && has_outlived(machine, record->finished_at))
		machine->ttl_over = true;
	if (!machine->ttl_over || machine->state != MACHINE_STATE_STOPPED)
		return;
	reason = mem_printf("stopped: it had run for its ttl_s of %lld s%s%s",
			    machine->config.ttl_s, record->reason == NULL ? "" : "; ",
			    record->reason == NULL ? "" : record->reason);
	mem_replace(&machine->record.reason, reason);
	mem_replace(&machine->reason, reason);
}

/* ---- the policy ---- */

static bool was_asked_for(const struct machine *machine)
{
	return machine->stop_asked || machine->ttl_over ||
	       (machine->record.has_exit && machine->record.exit.requested);
}

static bool has_failed(const struct machine *machine)
{
	return machine->state == MACHINE_STATE_FAILED || machine->record.exit.code != 0;
}

static void describe_end(const struct machine *machine, char *text, size_t size)
{
	const struct machine_record *record = &machine->record;

	if (machine->state == MACHINE_STATE_FAILED)
		snprintf(text, size, "it failed: %s",
			 machine->reason == NULL ? "no reason is known" : machine->reason);
	else
		snprintf(text, size, "exit code %lld", record->exit.code);
}

static long long next_delay_ms(const struct machine *machine)
{
	const struct machine_record *record = &machine->record;
	int64_t lasted_ms = (record->finished_at - record->started_at) / CLOCK_NS_PER_MS;
	bool lasted = record->started_at != 0 && lasted_ms >= RESTART_LASTED_MS;

	if (lasted || machine->restart_delay_ms == 0)
		return RESTART_DELAY_MS;
	return MIN(machine->restart_delay_ms * 2, (long long)RESTART_DELAY_MS_MAX);
}

static bool gives_up(const struct machine *machine)
{
	const struct machine_restart *restart = &machine->config.restart;

	return restart->max_retries > 0 && machine->restart_count >= restart->max_retries;
}

/* Does its policy want it to go on? */
static bool wants_restart(struct machine *machine, const char *how)
{
	const char *policy = machine->config.restart.policy;
	_cleanup_free_ char *reason = NULL;

	if (was_asked_for(machine) || machine->is_deleting || strcmp(policy, "no") == 0)
		return false;
	if (strcmp(policy, "always") == 0)
		return true;
	if (!has_failed(machine))
		return false;
	if (!gives_up(machine))
		return true;
	reason = mem_printf("not restarted again after %lld restarts: %s",
			    (long long)machine->restart_count, how);
	mem_replace(&machine->reason, reason);
	return false;
}

void restart_decide(struct machine *machine)
{
	_cleanup_free_ char *reason = NULL;
	char how[1024];

	describe_end(machine, how, sizeof(how));
	machine->restart_due = wants_restart(machine, how);
	if (!machine->restart_due) {
		if (machine->config.auto_remove && !machine->keep_once)
			machine->is_deleting = true;
		return;
	}
	machine->restart_delay_ms = next_delay_ms(machine);
	reason = mem_printf("restarting in %lld.%lld s after %s", machine->restart_delay_ms / 1000,
			    machine->restart_delay_ms % 1000 / 100, how);
	mem_replace(&machine->reason, reason);
}

/* ---- afterwards ---- */

static bool is_held(const struct machine *machine)
{
	for (const struct observer *o = machine->observers; o != NULL; o = o->next) {
		if (o->holds_removal)
			return true;
	}
	return false;
}

void restart_released(struct machine *machine)
{
	if (machine->chore != NULL && machine->chore->kind == CHORE_REMOVE && !is_held(machine))
		set_chore(machine, CHORE_REMOVE, 0);
}

/* Another krun-api waited before: the count tells how long it would have been now. */
static long long resumed_delay_ms(const struct machine *machine)
{
	long long delay_ms = RESTART_DELAY_MS;

	for (int64_t i = 0; i < machine->restart_count && delay_ms < RESTART_DELAY_MS_MAX; i++)
		delay_ms *= 2;
	return MIN(delay_ms, (long long)RESTART_DELAY_MS_MAX);
}

/* Who starts a machine and then follows its log finds it, however soon it ends. */
static long long removal_delay_ms(const struct machine *machine)
{
	int64_t since_ms = (clock_realtime_ns() - machine->record.started_at) / CLOCK_NS_PER_MS;

	if (is_held(machine))
		return REMOVAL_PATIENCE_MS;
	return since_ms >= 0 && since_ms < REMOVAL_GRACE_MS ? REMOVAL_GRACE_MS - since_ms : 0;
}

void restart_go_on(struct machine *machine)
{
	/* Observers may have started it, or begun to delete it. */
	if (machine_state_is_live(machine->state) || machine->remove_running)
		return;
	if (machine->is_deleting) {
		set_chore(machine, CHORE_REMOVE, removal_delay_ms(machine));
	} else if (machine->restart_due) {
		if (machine->restart_delay_ms == 0)
			machine->restart_delay_ms = resumed_delay_ms(machine);
		set_chore(machine, CHORE_RESTART, machine->restart_delay_ms);
	} else {
		restart_forget(machine);
	}
}
