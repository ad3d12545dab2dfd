/* SPDX-License-Identifier: Apache-2.0 */
#include "waiter.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <uv.h>

#include "base/mem.h"
#include "machine.h"
#include "server.h"

struct waiter {
	struct observer observer;
	bool heard; /* the machine has changed since it waits */
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

void waiter_free(struct waiter *waiter)
{
	machine_unobserve(&waiter->observer);
	uv_close((uv_handle_t *)&waiter->timer, on_closed);
}

static void end(struct waiter *waiter, enum wait_outcome outcome)
{
	waiter_free(waiter); /* freed by the loop, later */
	waiter->on_end(waiter->user, outcome, waiter->machine);
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
static bool look(const struct waiter *waiter, enum wait_outcome *ret_outcome)
{
	const struct machine *machine = waiter->machine;

	/* It starts by itself: at rest it is not, and an end before this wait is no answer. */
	if (machine->restart_due &&
	    (!waiter->heard || waiter->target == WAIT_STOPPED ||
	     waiter->target == WAIT_FAILED_STATE || waiter->target == WAIT_REST))
		return false;
	switch (waiter->target) {
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
	struct waiter *waiter = (struct waiter *)observer;
	enum wait_outcome outcome;

	waiter->heard = true;
	if (event == MACHINE_EVENT_DELETED)
		end(waiter, waiter->target == WAIT_DELETED_STATE ? WAIT_REACHED : WAIT_DELETED);
	else if (event == MACHINE_EVENT_CHANGED && look(waiter, &outcome))
		end(waiter, outcome);
}

static void on_timer(uv_timer_t *timer)
{
	end(timer->data, WAIT_TIMEOUT);
}

void waiter_new(struct machine *machine, enum wait_target target, int64_t timeout_ms,
		void (*on_end)(void *user, enum wait_outcome outcome,
			       const struct machine *machine),
		void *user, struct waiter **ret_waiter)
{
	struct waiter *waiter = mem_new(struct waiter);
	enum wait_outcome outcome;

	waiter->machine = machine;
	waiter->target = target;
	waiter->on_end = on_end;
	waiter->user = user;
	waiter->observer.notify = on_event;
	uv_timer_init(machine->server->loop, &waiter->timer);
	waiter->timer.data = waiter;
	*ret_waiter = waiter;
	machine_observe(machine, &waiter->observer);
	if (look(waiter, &outcome)) {
		end(waiter, outcome);
		return;
	}
	uv_timer_start(&waiter->timer, on_timer, (uint64_t)timeout_ms, 0);
}
