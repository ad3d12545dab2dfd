/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON out: an append-only writer over a buffer. It places commas and escapes; it never builds a
 * tree. Bytes that are not UTF-8 are written as U+FFFD, so what a guest or an image says is always
 * valid JSON.
 *
 * A `name` is given inside objects and is NULL inside arrays and at the top. The first failure (the
 * buffer's maximum) sticks: later calls do nothing and jsonw_finish() returns it.
 */
#ifndef BASE_JSONW_H
#define BASE_JSONW_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

struct jsonw {
	struct buf *out; /* not owned */
	int error;
	bool comma; /* a value stands before the next one */
};

void jsonw_init(struct jsonw *w, struct buf *out);

void jsonw_object_begin(struct jsonw *w, const char *name);
void jsonw_object_end(struct jsonw *w);
void jsonw_array_begin(struct jsonw *w, const char *name);
void jsonw_array_end(struct jsonw *w);

/* NULL is written as null. */
void jsonw_string(struct jsonw *w, const char *name, const char *value);
void jsonw_string_bytes(struct jsonw *w, const char *name, const void *data, size_t length);
void jsonw_int(struct jsonw *w, const char *name, int64_t value);
void jsonw_bool(struct jsonw *w, const char *name, bool value);
void jsonw_null(struct jsonw *w, const char *name);

/* RFC 3339, or null for 0. */
void jsonw_time(struct jsonw *w, const char *name, int64_t realtime_ns);

/* Vector of strings as an array; vector of "KEY=value" as an object. NULL: empty. */
void jsonw_strings(struct jsonw *w, const char *name, char *const *strv);
void jsonw_map(struct jsonw *w, const char *name, char *const *strv);

/* Text that is JSON already, verbatim. */
void jsonw_raw(struct jsonw *w, const char *name, const char *json, size_t length);

/* 0, or -ENOBUFS when something did not fit. */
int jsonw_finish(struct jsonw *w) _must_check_;

#endif
