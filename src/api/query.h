/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of a request: its path in decoded segments and its query by a table of fields.
 *
 * Both are split and decoded in place, so everything points into the text that was given. What
 * cannot be decoded (a broken %XX, a NUL, control characters but in QUERY_BYTES) is refused.
 */
#ifndef API_QUERY_H
#define API_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PATH_SEGMENTS_MAX 16

struct query_item {
	const char *name, *value;
};

struct query {
	struct query_item *items; /* on the heap, NULL when there are none */
	size_t count;
};

enum query_type {
	QUERY_BOOL,    /* bool: "true", "false", "1", "0", or a name without a value */
	QUERY_INT,     /* long long, min..max */
	QUERY_SECONDS, /* long long of milliseconds from seconds with up to 3 decimals, min..max s */
	QUERY_TIME,    /* int64_t of nanoseconds, base/clock.h */
	QUERY_TEXT,    /* const char * */
	QUERY_BYTES,   /* the same, and any bytes may be in it */
	QUERY_TEXTS,   /* struct query_texts: may stand more than once */
};

#define QUERY_TEXTS_MAX 16

struct query_texts {
	const char *items[QUERY_TEXTS_MAX];
	size_t count;
};

struct query_field {
	const char *name;
	enum query_type type;
	size_t offset;
	long long min, max;
};

#define QUERY_FIELD_END                                                                            \
	{                                                                                          \
		.name = NULL                                                                       \
	}

/* Splits "a=b&c=d". -EINVAL with a sentence. query_done() in any case. */
int query_split(char *text, struct query *ret_query, struct err *err) _must_check_;
void query_done(struct query *query);

/* Fills the target in; absent items leave it alone. -EINVAL for unknown, repeated or bad ones. */
int query_read(const struct query *query, const struct query_field *fields, void *target,
	       struct err *err) _must_check_;

/*
 * Splits "/a/b%20c" into "a", "b c". A final slash, empty segments, "." and ".." are refused, and a
 * decoded slash is part of its segment. Returns how many, or -EINVAL.
 */
int path_split(char *text, const char *ret_segments[PATH_SEGMENTS_MAX],
	       struct err *err) _must_check_;

/* Decodes %XX in place, and "+" as a space when asked. -EINVAL. */
int percent_decode(char *text, bool plus_is_space) _must_check_;

#endif
