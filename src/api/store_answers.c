/* SPDX-License-Identifier: Apache-2.0 */
#include "store_db.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bounds.h"

static int trim(struct store *store, int64_t now_ns, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_ANSWERS_TRIM, err);

	if (statement == NULL)
		return -EIO;
	sqlite3_bind_int64(statement, 1, now_ns - ANSWER_KEPT_S * CLOCK_NS_PER_S);
	sqlite3_bind_int64(statement, 2, ANSWERS_MAX - 1);
	return store_finish(store, statement, sqlite3_step(statement), err);
}

int store_answer_write(struct store *store, const struct store_answer *answer, struct err *err)
{
	sqlite3_stmt *statement;
	int r = trim(store, answer->created_at, err);

	if (r < 0)
		return r;
	statement = store_prepare(store, STORE_ANSWER_INSERT, err);
	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, answer->key);
	store_bind_text(statement, 2, answer->digest);
	store_bind_text(statement, 3, answer->machine_id);
	sqlite3_bind_int64(statement, 4, answer->created_at);
	return store_finish(store, statement, sqlite3_step(statement), err);
}

static int complete(struct store *store, const char *key, int status, const char *body,
		    struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_ANSWER_COMPLETE, err);

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, key);
	sqlite3_bind_int(statement, 2, status);
	store_bind_text(statement, 3, body);
	return store_finish(store, statement, sqlite3_step(statement), err);
}

int store_answer_complete(struct store *store, const char *key, int status, const char *body,
			  struct err *err)
{
	int r = store_begin_light(store, err);

	if (r < 0)
		return r;
	return store_end_light(store, complete(store, key, status, body, err), err);
}

void store_answer_done(struct store_answer *answer)
{
	free((char *)answer->digest);
	free((char *)answer->machine_id);
	free((char *)answer->body);
	*answer = (struct store_answer){0};
}

int store_answer_find(struct store *store, const char *key, int64_t since,
		      struct store_answer *ret_answer, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_ANSWER_FIND, err);
	int outcome, r = -ENOENT;

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, key);
	sqlite3_bind_int64(statement, 2, since);
	outcome = sqlite3_step(statement);
	if (outcome == SQLITE_ROW) {
		*ret_answer = (struct store_answer){
			.digest = mem_strdup(store_column_text(statement, 0)),
			.machine_id = mem_strdup(store_column_text(statement, 1)),
			.status = sqlite3_column_int(statement, 2),
			.body = mem_strdup_or_null(store_column_text(statement, 3)),
		};
		r = 0;
	}
	return store_finish(store, statement, outcome, err) < 0 ? -EIO : r;
}
