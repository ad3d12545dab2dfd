/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/events: one object a line, or server-sent events. A follower keeps nothing but the id that
 * it has come to. What was dropped before a follower came to it is told by an event of its own,
 * `events.lost`, and the rest follows.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "bounds.h"
#include "events.h"
#include "handlers.h"
#include "machine.h"
#include "request.h"
#include "server.h"
#include "store.h"

#define SLICE_OUTPUT_BYTES_MAX (4 * MIB) /* EVENTS_SLICE of them at their largest */

struct follower {
	struct event_follower base;
	struct request *request;
	char *machine; /* only of this id or name; NULL: all */
	int64_t last;  /* id of the newest that was looked at */
	struct buf out;
	bool sse, follow;
	bool draining; /* the client has more than it takes */
};

struct events_query {
	const char *machine;
	long long since;
	bool follow;
};

static void follower_free(struct follower *follower)
{
	events_unfollow(&follower->base);
	buf_done(&follower->out);
	free(follower->machine);
	free(follower);
}

static void end(struct follower *follower)
{
	struct request *request = follower->request;

	follower_free(follower);
	stream_end(request);
}

static void on_gone(struct request *request)
{
	follower_free(request->data);
}

/* ---- events to bytes ---- */

static int write_json(struct buf *out, const struct store_event *event)
{
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object_begin(&w, NULL);
	jsonw_int(&w, "id", event->id);
	jsonw_time(&w, "time", event->at);
	jsonw_string(&w, "type", event->type);
	jsonw_string(&w, "machine_id", event->machine_id);
	jsonw_string(&w, "name", event->name);
	jsonw_string(&w, "state", event->state);
	jsonw_string(&w, "reason", event->reason);
	jsonw_raw(&w, "attributes", event->attributes, strlen(event->attributes));
	jsonw_object_end(&w);
	return jsonw_finish(&w);
}

static void write_event(struct follower *follower, const struct store_event *event)
{
	struct buf *out = &follower->out;
	size_t before = out->length;
	int r = 0;

	if (follower->sse)
		r = buf_printf(out, "id: %lld\nevent: %s\ndata: ", (long long)event->id,
			       event->type);
	if (r >= 0)
		r = write_json(out, event);
	if (r >= 0)
		r = buf_append_string(out, follower->sse ? "\n\n" : "\n");
	if (r < 0)
		out->length = before; /* larger than any that we write */
}

static bool is_wanted(const struct follower *follower, const struct store_event *event)
{
	return follower->machine == NULL ||
	       (event->machine_id != NULL && (strcmp(event->machine_id, follower->machine) == 0 ||
					      strcmp(event->name, follower->machine) == 0));
}

static void on_event(const struct store_event *event, void *user)
{
	struct follower *follower = user;

	follower->last = event->id;
	if (is_wanted(follower, event))
		write_event(follower, event);
}

/*
 * Are there events between the last one that it has and the oldest there is? Also when it comes with
 * an id that was never given: what it followed was another server.
 */
static void tell_lost(struct follower *follower)
{
	const struct store_event_range range = store_events_range(follower->request->server->store);
	struct store_event event = {.at = clock_realtime_ns(),
				    .type = "events.lost",
				    .attributes = "{}"};

	if (follower->last > range.newest) {
		event.reason = "no event has had this id yet: this is another history";
		follower->last = MAX(range.oldest - 1, (int64_t)0);
	} else if (range.count == EVENTS_MAX && follower->last < range.oldest - 1) {
		event.reason = "older events than these are not kept";
		follower->last = range.oldest - 1;
	} else {
		return;
	}
	event.id = follower->last;
	write_event(follower, &event);
}

/* ---- stepping ---- */

static void step(struct follower *follower)
{
	struct server *server = follower->request->server;
	struct err err = {0};
	int64_t before;
	bool room = true;
	int r;

	if (follower->draining)
		return;
	tell_lost(follower);
	before = follower->last;
	r = store_events_after(server->store, before, EVENTS_SLICE, on_event, follower, &err);
	if (follower->out.length > 0) {
		room = stream_write(follower->request, follower->out.data, follower->out.length);
		buf_clear(&follower->out);
	}
	if (r < 0) {
		log_error("reading events: %s", err.text);
		end(follower);
	} else if (!room) {
		follower->draining = true;
	} else if (follower->last > before) {
		turn_later(server, &follower->base.turn);
	} else if (!follower->follow) {
		end(follower);
	} else {
		buf_done(&follower->out); /* one that waits holds no memory */
		buf_init(&follower->out, SLICE_OUTPUT_BYTES_MAX);
	}
}

static void on_turn(struct turn *turn)
{
	step((struct follower *)((char *)turn - offsetof(struct follower, base.turn)));
}

static void on_drain(struct request *request)
{
	struct follower *follower = request->data;

	if (!follower->draining)
		return;
	follower->draining = false;
	step(follower);
}

static void on_keep_alive(struct event_follower *base)
{
	static const char comment[] = ": still here\n\n";
	struct follower *follower = (struct follower *)base;

	if (!follower->draining)
		stream_write(follower->request, comment, sizeof(comment) - 1);
}

/* ---- the call ---- */

/* What stands for a machine that is there becomes its id; a name stays one, also of a later one. */
static char *resolve_machine(const struct server *server, const char *text)
{
	struct machine *machine;

	if (text == NULL)
		return NULL;
	if (machines_find(&server->machines, text, &machine) < 0 ||
	    strcmp(machine->name, text) == 0)
		return mem_strdup(text);
	return mem_strdup(machine->id);
}

static int read_query(const struct request *request, struct events_query *query, struct err *err)
{
	static const struct query_field fields[] = {
		{"since", QUERY_INT, offsetof(struct events_query, since), 0, INT64_MAX},
		{"follow", QUERY_BOOL, offsetof(struct events_query, follow)},
		{"machine", QUERY_TEXT, offsetof(struct events_query, machine)},
		QUERY_FIELD_END,
	};
	int r;

	*query = (struct events_query){.since = -1, .follow = true};
	r = query_read(&request->query, fields, query, err);
	/* A browser that comes again has both: the address it began with, and how far it got. */
	if (r >= 0 && request->last_event_id != NULL &&
	    opt_parse_int(request->last_event_id, 0, INT64_MAX, &query->since) < 0)
		return err_set(err, EINVAL, "Last-Event-ID is not the id of an event");
	return r;
}

void events_http_get(struct request *request)
{
	struct server *server = request->server;
	struct events_query query;
	struct follower *follower;
	struct err err = {0};

	if (read_query(request, &query, &err) < 0) {
		reply_error(request, 400, "invalid_query", "%s", err.text);
		return;
	}
	follower = mem_new(struct follower);
	follower->request = request;
	follower->machine = resolve_machine(server, query.machine);
	follower->follow = query.follow;
	follower->sse = request->wants_sse;
	follower->last = query.since;
	/* Without a beginning: from now on, or all that there is. */
	if (query.since < 0)
		follower->last = query.follow ? store_events_range(server->store).newest : 0;
	follower->base.turn.run = on_turn;
	follower->base.keep_alive = follower->sse ? on_keep_alive : NULL;
	buf_init(&follower->out, SLICE_OUTPUT_BYTES_MAX);
	request->data = follower;
	request->on_gone = on_gone;
	request->on_drain = on_drain;
	stream_begin(request, 200, follower->sse ? "text/event-stream" : "application/x-ndjson");
	events_follow(server, &follower->base);
	turn_later(server, &follower->base.turn);
}
