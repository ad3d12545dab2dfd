/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite in our words: for the store*.c files only. */
#ifndef API_STORE_DB_H
#define API_STORE_DB_H

#include <sqlite3.h>

#include "store.h"

/* Prepared when first used, then kept. Their texts are in store.c. */
enum store_statement {
	STORE_MACHINE_INSERT,
	STORE_MACHINE_UPDATE,
	STORE_MACHINE_DELETE,
	STORE_MACHINES_ALL,
	STORE_IMAGE_INSERT,
	STORE_IMAGE_NAME_INSERT,
	STORE_IMAGE_FIND,
	STORE_IMAGE_NAMES,
	STORE_IMAGE_FIND_NAME,
	STORE_IMAGE_FIND_PREFIX,
	STORE_IMAGE_USERS,
	STORE_IMAGE_DELETE,
	STORE_IMAGE_NAME_DELETE,
	STORE_IMAGES_ALL,
	STORE_EVENT_INSERT,
	STORE_EVENTS_AFTER,
	STORE_EVENTS_TRIM,
	STORE_EVENTS_RANGE,
	STORE_EVENTS_OLDEST,
	STORE_VOLUME_INSERT,
	STORE_VOLUME_READY,
	STORE_VOLUME_DELETE,
	STORE_VOLUMES_ALL,
	STORE_ANSWER_INSERT,
	STORE_ANSWER_COMPLETE,
	STORE_ANSWER_FIND,
	STORE_ANSWERS_TRIM,
	STORE_MACHINE_ANNOUNCE,
	STORE_STATEMENT_COUNT,
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *prepared[STORE_STATEMENT_COUNT];
	struct store_event_range events, events_before; /* as committed */
};

/* An error of the database as ours: returns a negative errno. */
int store_fail(struct store *store, const char *what, struct err *err);
int store_execute(struct store *store, const char *sql, struct err *err) _must_check_;

/* A transaction around what `r` says of it so far: commits for 0, else rolls back and returns r. */
int store_begin(struct store *store, struct err *err) _must_check_;
int store_end(struct store *store, int r, struct err *err) _must_check_;

/* The same for what may be lost with the host's power, but not with this process: no fsync. */
int store_begin_light(struct store *store, struct err *err) _must_check_;
int store_end_light(struct store *store, int r, struct err *err) _must_check_;

/* NULL with the error. Bound text must outlive the statement's step: it is not copied. */
sqlite3_stmt *store_prepare(struct store *store, enum store_statement which,
			    struct err *err) _must_check_;
void store_bind_text(sqlite3_stmt *statement, int index, const char *text);
const char *store_column_text(sqlite3_stmt *statement, int index);

/* Ends the use of a statement whose last step had that outcome. */
int store_finish(struct store *store, sqlite3_stmt *statement, int outcome,
		 struct err *err) _must_check_;
int store_run_with_text(struct store *store, enum store_statement which, const char *text,
			struct err *err) _must_check_;

/* Writes events within the caller's transaction, and forgets the oldest ones. */
int store_events_write(struct store *store, const struct store_event *events, size_t count,
		       struct err *err) _must_check_;

/* Writes the key of a call, without its answer, within the caller's transaction. */
int store_answer_write(struct store *store, const struct store_answer *answer,
		       struct err *err) _must_check_;

/* At opening: what is there, and ids that go on where nobody has seen any. */
int store_events_open(struct store *store, struct err *err) _must_check_;

#endif
