/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include <assert.h>
#include <uv.h>

#include "base/clock.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "bounds.h"
#include "machine.h"
#include "server.h"

struct events {
	struct event_follower *followers;
	uv_timer_t timer; /* active while there is a follower that wants to be kept alive */
};

void events_init(struct server *server)
{
	struct events *events = mem_new(struct events);

	uv_timer_init(server->loop, &events->timer);
	uv_unref((uv_handle_t *)&events->timer);
	events->timer.data = events;
	server->events = events;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void events_done(struct server *server)
{
	uv_close((uv_handle_t *)&server->events->timer, on_closed);
	server->events = NULL;
}

static void on_keep_alive(uv_timer_t *timer)
{
	struct events *events = timer->data;
	struct event_follower *next;
	bool wanted = false;

	for (struct event_follower *f = events->followers; f != NULL; f = next) {
		next = f->next;
		if (f->keep_alive == NULL)
			continue;
		wanted = true;
		f->keep_alive(f);
	}
	if (!wanted)
		uv_timer_stop(timer);
}

void events_follow(struct server *server, struct event_follower *follower)
{
	struct events *events = server->events;

	assert(follower->link == NULL);
	follower->server = server;
	follower->next = events->followers;
	follower->link = &events->followers;
	if (follower->next != NULL)
		follower->next->link = &follower->next;
	events->followers = follower;
	if (follower->keep_alive != NULL && !uv_is_active((uv_handle_t *)&events->timer))
		uv_timer_start(&events->timer, on_keep_alive, EVENTS_KEEP_ALIVE_MS,
			       EVENTS_KEEP_ALIVE_MS);
}

void events_unfollow(struct event_follower *follower)
{
	turn_cancel(&follower->turn);
	if (follower->link == NULL)
		return;
	*follower->link = follower->next;
	if (follower->next != NULL)
		follower->next->link = follower->link;
	follower->link = NULL;
}

void events_wake(struct server *server)
{
	/* At start there is nobody yet. */
	if (server->events == NULL)
		return;
	for (struct event_follower *f = server->events->followers; f != NULL; f = f->next)
		turn_later(server, &f->turn);
}

struct store_event event_of_thing(const char *type, const char *name, const char *key,
				  const char *value, char **ret_attributes)
{
	struct buf text;
	struct jsonw w;

	buf_init(&text, 4 * KIB);
	jsonw_init(&w, &text);
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, key, value);
	jsonw_object_end(&w);
	*ret_attributes = jsonw_finish(&w) < 0 ? NULL : mem_strdup(text.data);
	buf_done(&text);
	return (struct store_event){.at = clock_realtime_ns(),
				    .type = type,
				    .name = name,
				    .attributes = *ret_attributes};
}

/* ---- of machines ---- */

static void write_exit(struct jsonw *w, const struct machine_record *record)
{
	if (!record->has_exit)
		return;
	jsonw_int(w, "exit_code", record->exit.code);
	if (record->exit.signal == 0)
		jsonw_null(w, "signal");
	else
		jsonw_int(w, "signal", record->exit.signal);
	jsonw_bool(w, "oom_killed", record->exit.oom_killed);
	jsonw_bool(w, "requested", record->exit.requested);
}

static char *format_attributes(const struct machine *machine)
{
	struct buf text;
	struct jsonw w;
	char *copy;

	buf_init(&text, 4 * KIB);
	jsonw_init(&w, &text);
	jsonw_object_begin(&w, NULL);
	jsonw_int(&w, "generation", machine->generation);
	if (!machine_state_is_live(machine->state))
		write_exit(&w, &machine->record);
	if (machine->restart_due || machine->restart_count > 0)
		jsonw_int(&w, "restart_count", machine->restart_count);
	jsonw_object_end(&w);
	/* A few numbers always fit. */
	copy = jsonw_finish(&w) < 0 ? NULL : mem_strdup(text.data);
	buf_done(&text);
	return copy;
}

const char *machine_event_type(const struct machine *machine)
{
	static const char *const types[] = {
		[MACHINE_STATE_CREATED] = "machine.created",
		[MACHINE_STATE_STARTING] = "machine.starting",
		[MACHINE_STATE_RUNNING] = "machine.running",
		[MACHINE_STATE_STOPPING] = "machine.stopping",
		[MACHINE_STATE_STOPPED] = "machine.stopped",
		[MACHINE_STATE_FAILED] = "machine.failed",
	};

	return types[machine->state];
}

void machine_events_add(struct machine_events *events, const struct machine *machine,
			const char *type)
{
	assert(events->count < ARRAY_SIZE(events->items));
	events->attributes[events->count] = format_attributes(machine);
	events->reasons[events->count] = mem_strdup_or_null(machine->reason);
	events->items[events->count] = (struct store_event){
		.at = clock_realtime_ns(),
		.type = type,
		.machine_id = machine->id,
		.name = machine->name,
		.state = machine_state_name(machine->state),
		.reason = events->reasons[events->count],
		.attributes = events->attributes[events->count],
	};
	events->count++;
}

void machine_events_done(struct machine_events *events)
{
	for (size_t i = 0; i < events->count; i++) {
		free(events->attributes[i]);
		free(events->reasons[i]);
	}
	events->count = 0;
}
