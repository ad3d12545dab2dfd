/* SPDX-License-Identifier: Apache-2.0 */
/* An answer of JSON objects, one a line (NDJSON), as it comes: for a client's sink. */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"

struct lines {
	struct buf part; /* of a line that is not whole yet */
	/* One object; a negative errno with the error set breaks the answer off. */
	int (*take)(void *user, json_t *object, struct err *err);
	void *user;
	struct err err; /* why it was broken off; says more than the client can */
};

void lines_init(struct lines *lines, int (*take)(void *user, json_t *object, struct err *err),
		void *user);
void lines_done(struct lines *lines);
#define _cleanup_lines_ _cleanup_(lines_done)

/* Fits client_request's sink; `user` is the struct lines. */
int lines_sink(void *user, const char *data, size_t length) _must_check_;

/* Of a call that has ended with `r`: the reason of ours where there is one. */
int lines_outcome(const struct lines *lines, int r, struct err *err) _must_check_;

#endif
