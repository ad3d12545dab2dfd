/* SPDX-License-Identifier: Apache-2.0 */
#include "store_db.h"

#include <errno.h>

#include "base/mem.h"
#include "base/strv.h"

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
	sqlite3_stmt *statement = store_prepare(store, STORE_IMAGE_INSERT, err);

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, image->digest);
	store_bind_text(statement, 2, image->architecture);
	store_bind_text(statement, 3, image->os);
	store_bind_text(statement, 4, image->config);
	sqlite3_bind_int64(statement, 5, image->size_bytes);
	sqlite3_bind_int64(statement, 6, image->content_bytes);
	sqlite3_bind_int64(statement, 7, image->created_at);
	return store_finish(store, statement, sqlite3_step(statement), err);
}

static int insert_image_names(struct store *store, const struct store_image *image, struct err *err)
{
	for (char **name = image->names; name != NULL && *name != NULL; name++) {
		sqlite3_stmt *statement = store_prepare(store, STORE_IMAGE_NAME_INSERT, err);
		int r;

		if (statement == NULL)
			return -EIO;
		store_bind_text(statement, 1, *name);
		store_bind_text(statement, 2, image->digest);
		r = store_finish(store, statement, sqlite3_step(statement), err);
		if (r < 0)
			return r;
	}
	return 0;
}

int store_image_insert(struct store *store, const struct store_image *image,
		       const struct store_event *event, struct err *err)
{
	int r = store_begin(store, err);

	if (r < 0)
		return r;
	r = insert_image_row(store, image, err);
	if (r >= 0)
		r = insert_image_names(store, image, err);
	if (r >= 0)
		r = store_events_write(store, event, event == NULL ? 0 : 1, err);
	return store_end(store, r, err);
}

static int read_names(struct store *store, struct store_image *image, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_IMAGE_NAMES, err);
	int outcome;

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, image->digest);
	while ((outcome = sqlite3_step(statement)) == SQLITE_ROW)
		strv_push(&image->names, store_column_text(statement, 0));
	return store_finish(store, statement, outcome, err);
}

static int read_image(struct store *store, sqlite3_stmt *row, struct store_image *image,
		      struct err *err)
{
	*image = (struct store_image){
		.digest = mem_strdup(store_column_text(row, 0)),
		.architecture = mem_strdup(store_column_text(row, 1)),
		.os = mem_strdup(store_column_text(row, 2)),
		.config = mem_strdup(store_column_text(row, 3)),
		.size_bytes = sqlite3_column_int64(row, 4),
		.content_bytes = sqlite3_column_int64(row, 5),
		.created_at = sqlite3_column_int64(row, 6),
	};
	return read_names(store, image, err);
}

int store_image_find(struct store *store, const char *digest, struct store_image *ret_image,
		     struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_IMAGE_FIND, err);
	int outcome, r = -ENOENT;

	*ret_image = (struct store_image){0};
	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, digest);
	outcome = sqlite3_step(statement);
	if (outcome == SQLITE_ROW)
		r = read_image(store, statement, ret_image, err);
	if (store_finish(store, statement, outcome, err) < 0)
		return -EIO;
	if (r < 0)
		store_image_done(ret_image);
	return r;
}

/* The digests that a statement with one text gives, at most two of them. */
static int find_digest(struct store *store, enum store_statement which, const char *text,
		       char **ret_digest, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, which, err);
	char *digest = NULL;
	int outcome, r = -ENOENT;

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, text);
	while ((outcome = sqlite3_step(statement)) == SQLITE_ROW) {
		r = r == -ENOENT ? 0 : -EMLINK;
		mem_replace(&digest, store_column_text(statement, 0));
	}
	if (store_finish(store, statement, outcome, err) < 0)
		r = -EIO;
	if (r < 0)
		free(digest);
	else
		*ret_digest = digest;
	return r;
}

int store_image_find_name(struct store *store, const char *name, char **ret_digest, struct err *err)
{
	return find_digest(store, STORE_IMAGE_FIND_NAME, name, ret_digest, err);
}

int store_image_find_prefix(struct store *store, const char *prefix, char **ret_digest,
			    struct err *err)
{
	return find_digest(store, STORE_IMAGE_FIND_PREFIX, prefix, ret_digest, err);
}

int store_image_count_users(struct store *store, const char *digest, int64_t *ret_count,
			    struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_IMAGE_USERS, err);
	int outcome;

	if (statement == NULL)
		return -EIO;
	store_bind_text(statement, 1, digest);
	outcome = sqlite3_step(statement);
	if (outcome == SQLITE_ROW)
		*ret_count = sqlite3_column_int64(statement, 0);
	return store_finish(store, statement, outcome, err);
}

int store_image_delete(struct store *store, const char *digest, const struct store_event *event,
		       struct err *err)
{
	int r = store_begin(store, err);

	if (r < 0)
		return r;
	r = store_run_with_text(store, STORE_IMAGE_DELETE, digest, err);
	if (r >= 0)
		r = store_events_write(store, event, event == NULL ? 0 : 1, err);
	return store_end(store, r, err);
}

int store_image_delete_name(struct store *store, const char *name, struct err *err)
{
	return store_run_with_text(store, STORE_IMAGE_NAME_DELETE, name, err);
}

int store_images_each(struct store *store,
		      int (*each)(const struct store_image *image, void *user, struct err *err),
		      void *user, struct err *err)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_IMAGES_ALL, err);
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
	return store_finish(store, statement, outcome, err);
}
