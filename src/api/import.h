/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive on its way to being an image:
 *
 *	RECEIVING	the body goes to a file in tmp/, off the loop; the client is held back while
 *			the disk is behind
 *	WORKING		krun-image makes the image in tmp/ and tells how far it is. An image that is
 *			there already ends it at the archive's config
 *	PLACING		fsync, rename into images/, the row: from here on it is finished whoever left
 *
 * import_free() may be called at any moment by who began it, and only before `on_end`; whatever is
 * under way is then broken off and cleaned up. Nothing stays in tmp/. Knows no HTTP.
 */
#ifndef API_IMPORT_H
#define API_IMPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct import;
struct server;

struct import_result {
	const char *digest; /* NULL: it failed */
	const char *code;   /* stable name of the error */
	const char *sentence;
	int status; /* what the error is over HTTP */
};

struct import_calls {
	/* A line of krun-image: JSON, NUL-terminated. */
	void (*on_progress)(void *user, const char *line, size_t length);
	/* Hold the client back, or not any more. */
	void (*on_pause)(void *user, int pause);
	/* Once, never from within import_new(). The import is gone after it. */
	void (*on_end)(void *user, const struct import_result *result);
};

struct import_order {
	const char *name;        /* copied; NULL: those of the archive */
	uint64_t expected_bytes; /* 0: unknown */
	const struct import_calls *calls;
	void *user;
};

/* -EBUSY: too many at once. -ENOSPC. */
int import_new(struct server *server, const struct import_order *order, struct import **ret_import,
	       struct err *err) _must_check_;

void import_data(struct import *import, const void *data, size_t length);
void import_data_end(struct import *import);
void import_free(struct import *import);

#endif
