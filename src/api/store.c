/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store_db.h"

/* Each brings the database from the version of its index to the next. Never change one: add. */
static const char *const migrations[] = {
	"CREATE TABLE images ("
	"  digest TEXT PRIMARY KEY,"
	"  architecture TEXT NOT NULL,"
	"  os TEXT NOT NULL,"
	"  config TEXT NOT NULL,"
	"  size_bytes INTEGER NOT NULL,"
	"  content_bytes INTEGER NOT NULL,"
	"  created_at INTEGER NOT NULL"
	") STRICT;"
	"CREATE TABLE image_names ("
	"  name TEXT PRIMARY KEY,"
	"  digest TEXT NOT NULL REFERENCES images (digest) ON DELETE CASCADE"
	") STRICT;"
	"CREATE INDEX image_names_by_digest ON image_names (digest);"
	"CREATE TABLE machines ("
	"  id TEXT PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE,"
	"  spec TEXT NOT NULL,"
	"  image_digest TEXT REFERENCES images (digest) ON DELETE RESTRICT,"
	"  state TEXT NOT NULL,"
	"  reason TEXT,"
	"  record TEXT,"
	"  generation INTEGER NOT NULL,"
	"  deleting INTEGER NOT NULL,"
	"  created_at INTEGER NOT NULL,"
	"  updated_at INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX machines_by_image ON machines (image_digest);",

	/* AUTOINCREMENT: an id that was given is never given again, whatever was deleted. */
	"CREATE TABLE events ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  at INTEGER NOT NULL,"
	"  type TEXT NOT NULL,"
	"  machine_id TEXT,"
	"  name TEXT,"
	"  state TEXT,"
	"  reason TEXT,"
	"  attributes TEXT NOT NULL"
	") STRICT;"
	"ALTER TABLE machines ADD COLUMN announced TEXT NOT NULL DEFAULT 'created';"
	"ALTER TABLE machines ADD COLUMN restart_count INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE machines ADD COLUMN restart_due INTEGER NOT NULL DEFAULT 0;"
	"UPDATE machines SET announced = state;"
	"CREATE TABLE volumes ("
	"  name TEXT PRIMARY KEY,"
	"  size_mib INTEGER NOT NULL,"
	"  ready INTEGER NOT NULL,"
	"  created_at INTEGER NOT NULL"
	") STRICT;"
	"CREATE TABLE answers ("
	"  key TEXT PRIMARY KEY,"
	"  digest TEXT NOT NULL,"
	"  machine_id TEXT NOT NULL,"
	"  status INTEGER NOT NULL,"
	"  body TEXT,"
	"  created_at INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX answers_by_age ON answers (created_at);",
};
_Static_assert(ARRAY_SIZE(migrations) == STORE_VERSION, "a migration to each version");

#define MACHINE_COLUMNS                                                                            \
	"id, name, spec, image_digest, state, reason, record, generation, deleting, created_at, "  \
	"updated_at, announced, restart_count, restart_due"
#define IMAGE_COLUMNS "digest, architecture, os, config, size_bytes, content_bytes, created_at"

static const char *const statements[STORE_STATEMENT_COUNT] = {
	[STORE_MACHINE_INSERT] = "INSERT INTO machines (" MACHINE_COLUMNS ") "
				 "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[STORE_MACHINE_UPDATE] = "UPDATE machines SET state = ?2, reason = ?3, record = ?4, "
				 "generation = ?5, deleting = ?6, updated_at = ?7, "
				 "announced = ?8, restart_count = ?9, restart_due = ?10 "
				 "WHERE id = ?1",
	[STORE_MACHINE_ANNOUNCE] = "UPDATE machines SET announced = ?2 WHERE id = ?1",
	[STORE_MACHINE_DELETE] = "DELETE FROM machines WHERE id = ?",
	[STORE_MACHINES_ALL] = "SELECT " MACHINE_COLUMNS " FROM machines ORDER BY id",
	[STORE_IMAGE_INSERT] =
		"INSERT INTO images (" IMAGE_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?) "
		"ON CONFLICT (digest) DO NOTHING",
	[STORE_IMAGE_NAME_INSERT] = "INSERT INTO image_names (name, digest) VALUES (?, ?) "
				    "ON CONFLICT (name) DO UPDATE SET digest = excluded.digest",
	[STORE_IMAGE_FIND] = "SELECT " IMAGE_COLUMNS " FROM images WHERE digest = ?",
	[STORE_IMAGE_NAMES] = "SELECT name FROM image_names WHERE digest = ? ORDER BY name",
	[STORE_IMAGE_FIND_NAME] = "SELECT digest FROM image_names WHERE name = ?",
	/* The digits of a digest sort below 'g'. */
	[STORE_IMAGE_FIND_PREFIX] =
		"SELECT digest FROM images WHERE digest >= ?1 AND digest < ?1 || 'g' LIMIT 2",
	[STORE_IMAGE_USERS] = "SELECT count(*) FROM machines WHERE image_digest = ?",
	[STORE_IMAGE_DELETE] = "DELETE FROM images WHERE digest = ?",
	[STORE_IMAGE_NAME_DELETE] = "DELETE FROM image_names WHERE name = ?",
	[STORE_IMAGES_ALL] =
		"SELECT " IMAGE_COLUMNS " FROM images ORDER BY created_at DESC, digest DESC",
	[STORE_EVENT_INSERT] = "INSERT INTO events (at, type, machine_id, name, state, reason, "
			       "attributes) VALUES (?, ?, ?, ?, ?, ?, ?)",
	[STORE_EVENTS_AFTER] = "SELECT id, at, type, machine_id, name, state, reason, attributes "
			       "FROM events WHERE id > ? ORDER BY id LIMIT ?",
	[STORE_EVENTS_TRIM] =
		"DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?)",
	[STORE_EVENTS_RANGE] = "SELECT count(*), min(id), max(id) FROM events",
	[STORE_EVENTS_OLDEST] = "SELECT min(id) FROM events",
	[STORE_VOLUME_INSERT] = "INSERT INTO volumes (name, size_mib, ready, created_at) "
				"VALUES (?, ?, 0, ?)",
	[STORE_VOLUME_READY] = "UPDATE volumes SET ready = ?2 WHERE name = ?1",
	[STORE_VOLUME_DELETE] = "DELETE FROM volumes WHERE name = ?",
	[STORE_ANSWER_INSERT] = "INSERT OR REPLACE INTO answers (key, digest, machine_id, status, "
				"created_at) VALUES (?, ?, ?, 0, ?)",
	[STORE_ANSWER_COMPLETE] = "UPDATE answers SET status = ?2, body = ?3 WHERE key = ?1",
	[STORE_ANSWER_FIND] = "SELECT digest, machine_id, status, body FROM answers "
			      "WHERE key = ? AND created_at > ?",
	[STORE_ANSWERS_TRIM] =
		"DELETE FROM answers WHERE created_at <= ?1 OR key IN "
		"(SELECT key FROM answers ORDER BY created_at DESC LIMIT -1 OFFSET ?2)",
	[STORE_VOLUMES_ALL] = "SELECT name, size_mib, ready, created_at FROM volumes ORDER BY name",
};

/* ---- SQLite in our words ---- */

int store_fail(struct store *store, const char *what, struct err *err)
{
	static const struct {
		int code, errnum;
	} codes[] = {
		{SQLITE_FULL, ENOSPC},       {SQLITE_NOMEM, ENOMEM},    {SQLITE_READONLY, EROFS},
		{SQLITE_CONSTRAINT, EEXIST}, {SQLITE_BUSY, EBUSY},      {SQLITE_CORRUPT, EBADMSG},
		{SQLITE_NOTADB, EBADMSG},    {SQLITE_CANTOPEN, EACCES},
	};
	int code = sqlite3_errcode(store->db) & 0xff, errnum = EIO;

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (codes[i].code == code)
			errnum = codes[i].errnum;
	}
	return err_set(err, errnum, "the database cannot %s: %s", what, sqlite3_errmsg(store->db));
}

int store_execute(struct store *store, const char *sql, struct err *err)
{
	return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK
		       ? 0
		       : store_fail(store, "be changed", err);
}

int store_begin(struct store *store, struct err *err)
{
	return store_execute(store, "BEGIN IMMEDIATE", err);
}

int store_end(struct store *store, int r, struct err *err)
{
	if (r >= 0)
		r = store_execute(store, "COMMIT", err);
	if (r < 0) {
		/* The first error is the one to tell. */
		(void)!store_execute(store, "ROLLBACK", NULL);
		store->events = store->events_before;
		return r;
	}
	store->events_before = store->events;
	return 0;
}

/* The write-ahead log reaches the disk with the next full transaction, or when the kernel likes. */
int store_begin_light(struct store *store, struct err *err)
{
	int r = store_execute(store, "PRAGMA synchronous = NORMAL", err);

	if (r >= 0)
		r = store_begin(store, err);
	if (r < 0)
		(void)!store_execute(store, "PRAGMA synchronous = FULL", NULL);
	return r;
}

int store_end_light(struct store *store, int r, struct err *err)
{
	r = store_end(store, r, err);
	if (store_execute(store, "PRAGMA synchronous = FULL", r < 0 ? NULL : err) < 0)
		return r < 0 ? r : -EIO;
	return r;
}

sqlite3_stmt *store_prepare(struct store *store, enum store_statement which, struct err *err)
{
	if (store->prepared[which] == NULL &&
	    sqlite3_prepare_v3(store->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT,
			       &store->prepared[which], NULL) != SQLITE_OK) {
		store_fail(store, "be asked", err);
		return NULL;
	}
	return store->prepared[which];
}

void store_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	if (text == NULL)
		sqlite3_bind_null(statement, index);
	else
		sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

int store_finish(struct store *store, sqlite3_stmt *statement, int outcome, struct err *err)
{
	int r = outcome == SQLITE_DONE || outcome == SQLITE_ROW
			? 0
			: store_fail(store, "be written", err);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return r;
}

int store_run_with_text(struct store *store, enum store_statement which, const char *text,
			struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, which, err);

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, text);
	return store_finish(store, statement, sqlite3_step(statement), err);
}

const char *store_column_text(sqlite3_stmt *statement, int index)
{
	return (const char *)sqlite3_column_text(statement, index);
}

/* ---- opening ---- */

static int read_version(struct store *store, int *ret_version, struct err *err)
{
	sqlite3_stmt *statement;

	if (sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &statement, NULL) !=
		    SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW)
		return store_fail(store, "be read", err);
	*ret_version = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return 0;
}

static int migrate(struct store *store, struct err *err)
{
	int version = 0, r = read_version(store, &version, err);

	if (r < 0)
		return r;
	if (version > STORE_VERSION)
		return err_set(
			err, EPROTO,
			"the database is of a later krun-api (version %d, this one knows %d)",
			version, STORE_VERSION);
	for (; version < STORE_VERSION; version++) {
		char pragma[64];

		snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", version + 1);
		r = store_begin(store, err);
		if (r >= 0)
			r = store_execute(store, migrations[version], err);
		if (r >= 0)
			r = store_execute(store, pragma, err);
		r = store_end(store, r, err);
		if (r < 0)
			return err_prefix(err, "bringing the database to version %d", version + 1);
	}
	return 0;
}

int store_open(const char *path, struct store **ret_store, struct err *err)
{
	static const char pragmas[] = "PRAGMA journal_mode = WAL;"
				      "PRAGMA synchronous = FULL;"
				      "PRAGMA fullfsync = ON;" /* macOS: fsync alone does not */
				      "PRAGMA foreign_keys = ON;"
				      "PRAGMA trusted_schema = OFF;"
				      "PRAGMA cache_size = -512;"
				      "PRAGMA temp_store = MEMORY;";
	struct store *store = mem_new(struct store);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int r = 0;

	if (sqlite3_open_v2(path, &store->db, flags, NULL) != SQLITE_OK)
		r = store_fail(store, "be opened", err);
	if (r >= 0)
		sqlite3_busy_timeout(store->db, 2000);
	if (r >= 0)
		r = store_execute(store, pragmas, err);
	if (r >= 0)
		r = migrate(store, err);
	if (r >= 0)
		r = store_events_open(store, err);
	if (r < 0) {
		store_close(store);
		return err_prefix(err, "'%s'", path);
	}
	*ret_store = store;
	return 0;
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	for (int i = 0; i < STORE_STATEMENT_COUNT; i++)
		sqlite3_finalize(store->prepared[i]);
	sqlite3_close(store->db);
	free(store);
}

/* ---- machines ---- */

static int insert_row(struct store *store, const struct store_machine *machine, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_MACHINE_INSERT, err);

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, machine->id);
	store_bind_text(statement, 2, machine->name);
	store_bind_text(statement, 3, machine->spec);
	store_bind_text(statement, 4, machine->image_digest);
	store_bind_text(statement, 5, machine_state_name(machine->state));
	store_bind_text(statement, 6, machine->reason);
	store_bind_text(statement, 7, machine->record);
	sqlite3_bind_int64(statement, 8, machine->generation);
	sqlite3_bind_int(statement, 9, machine->deleting);
	sqlite3_bind_int64(statement, 10, machine->created_at);
	sqlite3_bind_int64(statement, 11, machine->updated_at);
	store_bind_text(statement, 12, machine_state_name(machine->announced));
	sqlite3_bind_int64(statement, 13, machine->restart_count);
	sqlite3_bind_int(statement, 14, machine->restart_due);
	return store_finish(store, statement, sqlite3_step(statement), err);
}

int store_machine_insert(struct store *store, const struct store_machine *machine, struct err *err)
{
	int r = store_begin(store, err);

	if (r < 0)
		return r;
	r = insert_row(store, machine, err);
	if (r >= 0 && machine->answer != NULL)
		r = store_answer_write(store, machine->answer, err);
	if (r >= 0)
		r = store_events_write(store, machine->events, machine->event_count, err);
	return store_end(store, r, err);
}

static int update_row(struct store *store, const struct store_machine *machine, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_MACHINE_UPDATE, err);

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, machine->id);
	store_bind_text(statement, 2, machine_state_name(machine->state));
	store_bind_text(statement, 3, machine->reason);
	store_bind_text(statement, 4, machine->record);
	sqlite3_bind_int64(statement, 5, machine->generation);
	sqlite3_bind_int(statement, 6, machine->deleting);
	sqlite3_bind_int64(statement, 7, machine->updated_at);
	store_bind_text(statement, 8, machine_state_name(machine->announced));
	sqlite3_bind_int64(statement, 9, machine->restart_count);
	sqlite3_bind_int(statement, 10, machine->restart_due);
	return store_finish(store, statement, sqlite3_step(statement), err);
}

int store_machine_update(struct store *store, const struct store_machine *machine, struct err *err)
{
	int r = store_begin(store, err);

	if (r < 0)
		return r;
	r = update_row(store, machine, err);
	if (r >= 0)
		r = store_events_write(store, machine->events, machine->event_count, err);
	return store_end(store, r, err);
}

static int announce(struct store *store, const struct store_event *event, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_MACHINE_ANNOUNCE, err);

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, event->machine_id);
	store_bind_text(statement, 2, event->state);
	return store_finish(store, statement, sqlite3_step(statement), err);
}

int store_machine_announce(struct store *store, const struct store_event *event, struct err *err)
{
	int r = store_begin_light(store, err);

	if (r < 0)
		return r;
	r = announce(store, event, err);
	if (r >= 0)
		r = store_events_write(store, event, 1, err);
	return store_end_light(store, r, err);
}

int store_machine_delete(struct store *store, const char *id, const struct store_event *event,
			 struct err *err)
{
	int r = store_begin(store, err);

	if (r < 0)
		return r;
	r = store_run_with_text(store, STORE_MACHINE_DELETE, id, err);
	if (r >= 0)
		r = store_events_write(store, event, event == NULL ? 0 : 1, err);
	return store_end(store, r, err);
}

static int read_machine(sqlite3_stmt *row, struct store_machine *machine, struct err *err)
{
	*machine = (struct store_machine){
		.id = store_column_text(row, 0),
		.name = store_column_text(row, 1),
		.spec = store_column_text(row, 2),
		.image_digest = store_column_text(row, 3),
		.reason = store_column_text(row, 5),
		.record = store_column_text(row, 6),
		.generation = sqlite3_column_int64(row, 7),
		.deleting = sqlite3_column_int(row, 8) != 0,
		.created_at = sqlite3_column_int64(row, 9),
		.updated_at = sqlite3_column_int64(row, 10),
		.restart_count = sqlite3_column_int64(row, 12),
		.restart_due = sqlite3_column_int(row, 13) != 0,
	};
	if (machine_state_parse(store_column_text(row, 11), &machine->announced) < 0)
		return err_set(err, EPROTO, "machine %s has announced an unknown state",
			       machine->id);
	if (machine_state_parse(store_column_text(row, 4), &machine->state) < 0)
		return err_set(err, EPROTO, "machine %s has the unknown state '%s'", machine->id,
			       store_column_text(row, 4));
	return 0;
}

int store_machines_each(struct store *store,
			int (*each)(const struct store_machine *machine, void *user,
				    struct err *err),
			void *user, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_MACHINES_ALL, err);
	int outcome, r = 0;

	if (statement == NULL)
		return -EIO;
	while ((outcome = sqlite3_step(statement)) == SQLITE_ROW && r >= 0) {
		struct store_machine machine;

		r = read_machine(statement, &machine, err);
		if (r >= 0)
			r = each(&machine, user, err);
	}
	if (r < 0) {
		sqlite3_reset(statement);
		return r;
	}
	return store_finish(store, statement, outcome, err);
}
