/* SPDX-License-Identifier: Apache-2.0 */
#include "wait.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <uv.h>

#include "base/mem.h"
#include "machine.h"
#include "server.h"

struct wait {
	struct observer observer;
	uv_timer_t timer;
	struct machine *machine;
	enum wait_target target;
	void (*on_end)(void *user, enum wait_outcome outcome, const struct machine *machine);
	void *user;
};

int wait_target_parse(const char *name, enum wait_target *ret_target)
{
	static const char *const names[] = {
		[WAIT_READY] = "ready",           [WAIT_RUNNING] = "running",
		[WAIT_STOPPED] = "stopped",       [WAIT_FAILED_STATE] = "failed",
		[WAIT_DELETED_STATE] = "deleted",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], name) == 0) {
			*ret_target = (enum wait_target)i;
			return 0;
		}
	}
	return -EINVAL;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void wait_free(struct wait *wait)
{
	machine_unobserve(&wait->observer);
	uv_close((uv_handle_t *)&wait->timer, on_closed);
}

static void end(struct wait *wait, enum wait_outcome outcome)
{
	wait_free(wait); /* freed by the loop, later */
	wait->on_end(wait->user, outcome, wait->machine);
}

static bool look_for_ready(const struct machine *machine, enum wait_outcome *ret_outcome)
{
	*ret_outcome = WAIT_REACHED;
	if (machine->record.ready_at != 0)
		return true;
	*ret_outcome = machine->state == MACHINE_STATE_FAILED ? WAIT_FAILED : WAIT_NEVER;
	return machine->state == MACHINE_STATE_FAILED || machine->state == MACHINE_STATE_STOPPED;
}

static bool look_for_state(const struct machine *machine, enum machine_state state,
			   enum wait_outcome *ret_outcome)
{
	*ret_outcome = machine->state == state ? WAIT_REACHED : WAIT_FAILED;
	return machine->state == state || machine->state == MACHINE_STATE_FAILED;
}

/* True when the wait is over. */
static bool look(const struct wait *wait, enum wait_outcome *ret_outcome)
{
	const struct machine *machine = wait->machine;

	switch (wait->target) {
	case WAIT_READY:
		return look_for_ready(machine, ret_outcome);
	case WAIT_RUNNING:
		return look_for_state(machine, MACHINE_STATE_RUNNING, ret_outcome);
	case WAIT_STOPPED:
		return look_for_state(machine, MACHINE_STATE_STOPPED, ret_outcome);
	case WAIT_FAILED_STATE:
		return look_for_state(machine, MACHINE_STATE_FAILED, ret_outcome);
	case WAIT_REST:
		*ret_outcome = WAIT_REACHED;
		return !machine_state_is_live(machine->state);
	case WAIT_DELETED_STATE:
		return false;
	}
	return false;
}

static void on_event(struct observer *observer, enum machine_event event)
{
	struct wait *wait = (struct wait *)observer;
	enum wait_outcome outcome;

	if (event == MACHINE_EVENT_DELETED)
		end(wait, wait->target == WAIT_DELETED_STATE ? WAIT_REACHED : WAIT_DELETED);
	else if (event == MACHINE_EVENT_CHANGED && look(wait, &outcome))
		end(wait, outcome);
}

static void on_timer(uv_timer_t *timer)
{
	end(timer->data, WAIT_TIMEOUT);
}

void wait_new(struct machine *machine, enum wait_target target, int64_t timeout_ms,
	      void (*on_end)(void *user, enum wait_outcome outcome, const struct machine *machine),
	      void *user, struct wait **ret_wait)
{
	struct wait *wait = mem_new(struct wait);
	enum wait_outcome outcome;

	wait->machine = machine;
	wait->target = target;
	wait->on_end = on_end;
	wait->user = user;
	wait->observer.notify = on_event;
	uv_timer_init(machine->server->loop, &wait->timer);
	wait->timer.data = wait;
	*ret_wait = wait;
	machine_observe(machine, &wait->observer);
	if (look(wait, &outcome)) {
		end(wait, outcome);
		return;
	}
	uv_timer_start(&wait->timer, on_timer, (uint64_t)timeout_ms, 0);
}
