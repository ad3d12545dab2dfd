/* SPDX-License-Identifier: Apache-2.0 */
#include "store_db.h"

#include <errno.h>

#include "base/clock.h"
#include "bounds.h"

/*
 * Light transactions may be lost with the host's power, and followers may have seen their events. So
 * each opening goes on well past the last id that is known.
 */
#define IDS_SKIPPED "1000"

static int read_range(struct store *store, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_EVENTS_RANGE, err);
	int outcome;

	if (statement == NULL)
		return -EIO;
	outcome = sqlite3_step(statement);
	if (outcome == SQLITE_ROW) {
		store->events.count = sqlite3_column_int64(statement, 0);
		store->events.oldest = sqlite3_column_int64(statement, 1);
		store->events.newest = sqlite3_column_int64(statement, 2);
	}
	store->events_before = store->events;
	return store_finish(store, statement, outcome, err);
}

int store_events_open(struct store *store, struct err *err)
{
	int r = store_execute(store,
			      "UPDATE sqlite_sequence SET seq = seq + " IDS_SKIPPED
			      " WHERE name = 'events'",
			      err);

	return r < 0 ? r : read_range(store, err);
}

static int insert(struct store *store, const struct store_event *event, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_EVENT_INSERT, err);
	int r;

	if (statement == NULL)
		return -EIO;
	sqlite3_bind_int64(statement, 1, event->at);
	store_bind_text(statement, 2, event->type);
	store_bind_text(statement, 3, event->machine_id);
	store_bind_text(statement, 4, event->name);
	store_bind_text(statement, 5, event->state);
	store_bind_text(statement, 6, event->reason);
	store_bind_text(statement, 7, event->attributes == NULL ? "{}" : event->attributes);
	r = store_finish(store, statement, sqlite3_step(statement), err);
	if (r < 0)
		return r;
	store->events.newest = sqlite3_last_insert_rowid(store->db);
	if (store->events.count++ == 0)
		store->events.oldest = store->events.newest;
	return 0;
}

/* Drops the oldest past the maximum. */
static int trim(struct store *store, struct err *err)
{
	sqlite3_stmt *statement;
	int outcome, r;

	if (store->events.count <= EVENTS_MAX)
		return 0;
	statement = store_prepare(store, STORE_EVENTS_TRIM, err);
	if (statement == NULL)
		return -EIO;
	sqlite3_bind_int64(statement, 1, store->events.count - EVENTS_MAX);
	r = store_finish(store, statement, sqlite3_step(statement), err);
	if (r < 0)
		return r;
	store->events.count = EVENTS_MAX;
	statement = store_prepare(store, STORE_EVENTS_OLDEST, err);
	if (statement == NULL)
		return -EIO;
	outcome = sqlite3_step(statement);
	if (outcome == SQLITE_ROW)
		store->events.oldest = sqlite3_column_int64(statement, 0);
	return store_finish(store, statement, outcome, err);
}

int store_events_write(struct store *store, const struct store_event *events, size_t count,
		       struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < count && r >= 0; i++)
		r = insert(store, &events[i], err);
	return r < 0 || count == 0 ? r : trim(store, err);
}

int store_event_insert(struct store *store, const struct store_event *event, struct err *err)
{
	int r = store_begin_light(store, err);

	if (r < 0)
		return r;
	return store_end_light(store, store_events_write(store, event, 1, err), err);
}

struct store_event_range store_events_range(const struct store *store)
{
	return store->events;
}

int store_events_after(struct store *store, int64_t after, size_t limit,
		       void (*each)(const struct store_event *event, void *user), void *user,
		       struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_EVENTS_AFTER, err);
	int outcome;

	if (statement == NULL)
		return -EIO;
	sqlite3_bind_int64(statement, 1, after);
	sqlite3_bind_int64(statement, 2, (int64_t)limit);
	while ((outcome = sqlite3_step(statement)) == SQLITE_ROW) {
		const struct store_event event = {
			.id = sqlite3_column_int64(statement, 0),
			.at = sqlite3_column_int64(statement, 1),
			.type = store_column_text(statement, 2),
			.machine_id = store_column_text(statement, 3),
			.name = store_column_text(statement, 4),
			.state = store_column_text(statement, 5),
			.reason = store_column_text(statement, 6),
			.attributes = store_column_text(statement, 7),
		};

		each(&event, user);
	}
	return store_finish(store, statement, outcome, err);
}
