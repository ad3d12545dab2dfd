/* SPDX-License-Identifier: Apache-2.0 */
#include "store_db.h"

#include <errno.h>

int store_volume_insert(struct store *store, const struct store_volume *volume, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_VOLUME_INSERT, err);

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, volume->name);
	sqlite3_bind_int64(statement, 2, volume->size_mib);
	sqlite3_bind_int64(statement, 3, volume->created_at);
	return store_finish(store, statement, sqlite3_step(statement), err);
}

static int set_ready(struct store *store, const char *name, bool is_ready, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_VOLUME_READY, err);

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, name);
	sqlite3_bind_int(statement, 2, is_ready);
	return store_finish(store, statement, sqlite3_step(statement), err);
}

int store_volume_set_ready(struct store *store, const char *name, bool is_ready,
			   const struct store_event *event, struct err *err)
{
	int r = store_begin(store, err);

	if (r < 0)
		return r;
	r = set_ready(store, name, is_ready, err);
	if (r >= 0)
		r = store_events_write(store, event, event == NULL ? 0 : 1, err);
	return store_end(store, r, err);
}

int store_volume_delete(struct store *store, const char *name, const struct store_event *event,
			struct err *err)
{
	int r = store_begin(store, err);

	if (r < 0)
		return r;
	r = store_run_with_text(store, STORE_VOLUME_DELETE, name, err);
	if (r >= 0)
		r = store_events_write(store, event, event == NULL ? 0 : 1, err);
	return store_end(store, r, err);
}

int store_volumes_each(struct store *store,
		       void (*each)(const struct store_volume *volume, void *user), void *user,
		       struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_VOLUMES_ALL, err);
	int outcome;

	if (statement == NULL)
		return -EIO;
	while ((outcome = sqlite3_step(statement)) == SQLITE_ROW) {
		const struct store_volume volume = {
			.name = store_column_text(statement, 0),
			.size_mib = sqlite3_column_int64(statement, 1),
			.is_ready = sqlite3_column_int(statement, 2) != 0,
			.created_at = sqlite3_column_int64(statement, 3),
		};

		each(&volume, user);
	}
	return store_finish(store, statement, outcome, err);
}
