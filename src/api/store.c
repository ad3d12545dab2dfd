/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"

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
};
_Static_assert(ARRAY_SIZE(migrations) == STORE_VERSION, "a migration to each version");

enum statement {
	MACHINE_INSERT,
	MACHINE_UPDATE,
	MACHINE_DELETE,
	MACHINES_ALL,
	IMAGE_INSERT,
	IMAGE_NAME_INSERT,
	IMAGE_FIND,
	IMAGE_NAMES,
	IMAGE_FIND_NAME,
	IMAGE_FIND_PREFIX,
	IMAGE_USERS,
	IMAGE_DELETE,
	IMAGE_NAME_DELETE,
	IMAGES_ALL,
	STATEMENT_COUNT,
};

#define MACHINE_COLUMNS                                                                            \
	"id, name, spec, image_digest, state, reason, record, generation, deleting, created_at, "  \
	"updated_at"
#define IMAGE_COLUMNS "digest, architecture, os, config, size_bytes, content_bytes, created_at"

static const char *const statements[STATEMENT_COUNT] = {
	[MACHINE_INSERT] = "INSERT INTO machines (" MACHINE_COLUMNS ") "
			   "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MACHINE_UPDATE] = "UPDATE machines SET state = ?2, reason = ?3, record = ?4, "
			   "generation = ?5, deleting = ?6, updated_at = ?7 WHERE id = ?1",
	[MACHINE_DELETE] = "DELETE FROM machines WHERE id = ?",
	[MACHINES_ALL] = "SELECT " MACHINE_COLUMNS " FROM machines ORDER BY id",
	[IMAGE_INSERT] = "INSERT INTO images (" IMAGE_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?) "
			 "ON CONFLICT (digest) DO NOTHING",
	[IMAGE_NAME_INSERT] = "INSERT INTO image_names (name, digest) VALUES (?, ?) "
			      "ON CONFLICT (name) DO UPDATE SET digest = excluded.digest",
	[IMAGE_FIND] = "SELECT " IMAGE_COLUMNS " FROM images WHERE digest = ?",
	[IMAGE_NAMES] = "SELECT name FROM image_names WHERE digest = ? ORDER BY name",
	[IMAGE_FIND_NAME] = "SELECT digest FROM image_names WHERE name = ?",
	/* The digits of a digest sort below 'g'. */
	[IMAGE_FIND_PREFIX] =
		"SELECT digest FROM images WHERE digest >= ?1 AND digest < ?1 || 'g' LIMIT 2",
	[IMAGE_USERS] = "SELECT count(*) FROM machines WHERE image_digest = ?",
	[IMAGE_DELETE] = "DELETE FROM images WHERE digest = ?",
	[IMAGE_NAME_DELETE] = "DELETE FROM image_names WHERE name = ?",
	[IMAGES_ALL] = "SELECT " IMAGE_COLUMNS " FROM images ORDER BY created_at DESC, digest DESC",
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *prepared[STATEMENT_COUNT];
};

/* ---- SQLite in our words ---- */

static int fail(struct store *store, const char *what, struct err *err)
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

static int execute(struct store *store, const char *sql, struct err *err)
{
	return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK
		       ? 0
		       : fail(store, "be changed", err);
}

static sqlite3_stmt *prepare(struct store *store, enum statement which, struct err *err)
{
	if (store->prepared[which] == NULL &&
	    sqlite3_prepare_v3(store->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT,
			       &store->prepared[which], NULL) != SQLITE_OK) {
		fail(store, "be asked", err);
		return NULL;
	}
	return store->prepared[which];
}

/* Bound text must outlive the statement's step: it is not copied. */
static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	if (text == NULL)
		sqlite3_bind_null(statement, index);
	else
		sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

static int finish(struct store *store, sqlite3_stmt *statement, int outcome, struct err *err)
{
	int r = outcome == SQLITE_DONE || outcome == SQLITE_ROW ? 0
								: fail(store, "be written", err);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return r;
}

static int run_with_text(struct store *store, enum statement which, const char *text,
			 struct err *err)
{
	sqlite3_stmt *statement = prepare(store, which, err);

	if (statement == NULL)
		return -EIO;
	bind_text(statement, 1, text);
	return finish(store, statement, sqlite3_step(statement), err);
}

static const char *column_text(sqlite3_stmt *statement, int index)
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
		return fail(store, "be read", err);
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
		r = execute(store, "BEGIN IMMEDIATE", err);
		if (r >= 0)
			r = execute(store, migrations[version], err);
		if (r >= 0)
			r = execute(store, pragma, err);
		if (r >= 0)
			r = execute(store, "COMMIT", err);
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
		r = fail(store, "be opened", err);
	if (r >= 0)
		sqlite3_busy_timeout(store->db, 2000);
	if (r >= 0)
		r = execute(store, pragmas, err);
	if (r >= 0)
		r = migrate(store, err);
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
	for (int i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(store->prepared[i]);
	sqlite3_close(store->db);
	free(store);
}

/* ---- machines ---- */

int store_machine_insert(struct store *store, const struct store_machine *machine, struct err *err)
{
	sqlite3_stmt *statement = prepare(store, MACHINE_INSERT, err);

	if (statement == NULL)
		return -EIO;
	bind_text(statement, 1, machine->id);
	bind_text(statement, 2, machine->name);
	bind_text(statement, 3, machine->spec);
	bind_text(statement, 4, machine->image_digest);
	bind_text(statement, 5, machine_state_name(machine->state));
	bind_text(statement, 6, machine->reason);
	bind_text(statement, 7, machine->record);
	sqlite3_bind_int64(statement, 8, machine->generation);
	sqlite3_bind_int(statement, 9, machine->deleting);
	sqlite3_bind_int64(statement, 10, machine->created_at);
	sqlite3_bind_int64(statement, 11, machine->updated_at);
	return finish(store, statement, sqlite3_step(statement), err);
}

int store_machine_update(struct store *store, const struct store_machine *machine, struct err *err)
{
	sqlite3_stmt *statement = prepare(store, MACHINE_UPDATE, err);

	if (statement == NULL)
		return -EIO;
	bind_text(statement, 1, machine->id);
	bind_text(statement, 2, machine_state_name(machine->state));
	bind_text(statement, 3, machine->reason);
	bind_text(statement, 4, machine->record);
	sqlite3_bind_int64(statement, 5, machine->generation);
	sqlite3_bind_int(statement, 6, machine->deleting);
	sqlite3_bind_int64(statement, 7, machine->updated_at);
	return finish(store, statement, sqlite3_step(statement), err);
}

int store_machine_delete(struct store *store, const char *id, struct err *err)
{
	return run_with_text(store, MACHINE_DELETE, id, err);
}

static int read_machine(sqlite3_stmt *row, struct store_machine *machine, struct err *err)
{
	*machine = (struct store_machine){
		.id = column_text(row, 0),
		.name = column_text(row, 1),
		.spec = column_text(row, 2),
		.image_digest = column_text(row, 3),
		.reason = column_text(row, 5),
		.record = column_text(row, 6),
		.generation = sqlite3_column_int64(row, 7),
		.deleting = sqlite3_column_int(row, 8) != 0,
		.created_at = sqlite3_column_int64(row, 9),
		.updated_at = sqlite3_column_int64(row, 10),
	};
	if (machine_state_parse(column_text(row, 4), &machine->state) < 0)
		return err_set(err, EPROTO, "machine %s has the unknown state '%s'", machine->id,
			       column_text(row, 4));
	return 0;
}

int store_machines_each(struct store *store,
			int (*each)(const struct store_machine *machine, void *user,
				    struct err *err),
			void *user, struct err *err)
{
	sqlite3_stmt *statement = prepare(store, MACHINES_ALL, err);
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
	return finish(store, statement, outcome, err);
}

/* ---- images ---- */

void store_image_done(struct store_image *image)
{
	free(image->digest);
	free(image->architecture);
	free(image->os);
	free(image->config);
	strv_free(image->names);
	*image = (struct store_image){0};
}

static int insert_image_row(struct store *store, const struct store_image *image, struct err *err)
{
	sqlite3_stmt *statement = prepare(store, IMAGE_INSERT, err);

	if (statement == NULL)
		return -EIO;
	bind_text(statement, 1, image->digest);
	bind_text(statement, 2, image->architecture);
	bind_text(statement, 3, image->os);
	bind_text(statement, 4, image->config);
	sqlite3_bind_int64(statement, 5, image->size_bytes);
	sqlite3_bind_int64(statement, 6, image->content_bytes);
	sqlite3_bind_int64(statement, 7, image->created_at);
	return finish(store, statement, sqlite3_step(statement), err);
}

static int insert_image_names(struct store *store, const struct store_image *image, struct err *err)
{
	for (char **name = image->names; name != NULL && *name != NULL; name++) {
		sqlite3_stmt *statement = prepare(store, IMAGE_NAME_INSERT, err);
		int r;

		if (statement == NULL)
			return -EIO;
		bind_text(statement, 1, *name);
		bind_text(statement, 2, image->digest);
		r = finish(store, statement, sqlite3_step(statement), err);
		if (r < 0)
			return r;
	}
	return 0;
}

int store_image_insert(struct store *store, const struct store_image *image, struct err *err)
{
	int r = execute(store, "BEGIN IMMEDIATE", err);

	if (r < 0)
		return r;
	r = insert_image_row(store, image, err);
	if (r >= 0)
		r = insert_image_names(store, image, err);
	if (r >= 0)
		r = execute(store, "COMMIT", err);
	if (r < 0)
		(void)!execute(store, "ROLLBACK", NULL); /* the first error is the one to tell */
	return r;
}

static int read_names(struct store *store, struct store_image *image, struct err *err)
{
	sqlite3_stmt *statement = prepare(store, IMAGE_NAMES, err);
	int outcome;

	if (statement == NULL)
		return -EIO;
	bind_text(statement, 1, image->digest);
	while ((outcome = sqlite3_step(statement)) == SQLITE_ROW)
		strv_push(&image->names, column_text(statement, 0));
	return finish(store, statement, outcome, err);
}

static int read_image(struct store *store, sqlite3_stmt *row, struct store_image *image,
		      struct err *err)
{
	*image = (struct store_image){
		.digest = mem_strdup(column_text(row, 0)),
		.architecture = mem_strdup(column_text(row, 1)),
		.os = mem_strdup(column_text(row, 2)),
		.config = mem_strdup(column_text(row, 3)),
		.size_bytes = sqlite3_column_int64(row, 4),
		.content_bytes = sqlite3_column_int64(row, 5),
		.created_at = sqlite3_column_int64(row, 6),
	};
	return read_names(store, image, err);
}

int store_image_find(struct store *store, const char *digest, struct store_image *ret_image,
		     struct err *err)
{
	sqlite3_stmt *statement = prepare(store, IMAGE_FIND, err);
	int outcome, r = -ENOENT;

	*ret_image = (struct store_image){0};
	if (statement == NULL)
		return -EIO;
	bind_text(statement, 1, digest);
	outcome = sqlite3_step(statement);
	if (outcome == SQLITE_ROW)
		r = read_image(store, statement, ret_image, err);
	if (finish(store, statement, outcome, err) < 0)
		return -EIO;
	if (r < 0)
		store_image_done(ret_image);
	return r;
}

/* The digests that a statement with one text gives, at most two of them. */
static int find_digest(struct store *store, enum statement which, const char *text,
		       char **ret_digest, struct err *err)
{
	sqlite3_stmt *statement = prepare(store, which, err);
	char *digest = NULL;
	int outcome, r = -ENOENT;

	if (statement == NULL)
		return -EIO;
	bind_text(statement, 1, text);
	while ((outcome = sqlite3_step(statement)) == SQLITE_ROW) {
		r = r == -ENOENT ? 0 : -EMLINK;
		mem_replace(&digest, column_text(statement, 0));
	}
	if (finish(store, statement, outcome, err) < 0)
		r = -EIO;
	if (r < 0)
		free(digest);
	else
		*ret_digest = digest;
	return r;
}

int store_image_find_name(struct store *store, const char *name, char **ret_digest, struct err *err)
{
	return find_digest(store, IMAGE_FIND_NAME, name, ret_digest, err);
}

int store_image_find_prefix(struct store *store, const char *prefix, char **ret_digest,
			    struct err *err)
{
	return find_digest(store, IMAGE_FIND_PREFIX, prefix, ret_digest, err);
}

int store_image_count_users(struct store *store, const char *digest, int64_t *ret_count,
			    struct err *err)
{
	sqlite3_stmt *statement = prepare(store, IMAGE_USERS, err);
	int outcome;

	if (statement == NULL)
		return -EIO;
	bind_text(statement, 1, digest);
	outcome = sqlite3_step(statement);
	if (outcome == SQLITE_ROW)
		*ret_count = sqlite3_column_int64(statement, 0);
	return finish(store, statement, outcome, err);
}

int store_image_delete(struct store *store, const char *digest, struct err *err)
{
	return run_with_text(store, IMAGE_DELETE, digest, err);
}

int store_image_delete_name(struct store *store, const char *name, struct err *err)
{
	return run_with_text(store, IMAGE_NAME_DELETE, name, err);
}

int store_images_each(struct store *store,
		      int (*each)(const struct store_image *image, void *user, struct err *err),
		      void *user, struct err *err)
{
	sqlite3_stmt *statement = prepare(store, IMAGES_ALL, err);
	int outcome, r = 0;

	if (statement == NULL)
		return -EIO;
	while ((outcome = sqlite3_step(statement)) == SQLITE_ROW && r >= 0) {
		struct store_image image;

		r = read_image(store, statement, &image, err);
		if (r >= 0)
			r = each(&image, user, err);
		store_image_done(&image);
	}
	if (r < 0) {
		sqlite3_reset(statement);
		return r;
	}
	return finish(store, statement, outcome, err);
}
