/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is being done while somebody waits: on standard error, where that is a live screen one line
 * for each step, which moves and gives way to a summary; elsewhere plain lines or nothing.
 *
 *	- building web:latest with podman  12 s  STEP 3/5: RUN make
 *	+ built web:latest with podman  14.2 s
 *
 * A step begins, is told details, is ticked about ten times a second, and ends as done, failed or
 * dropped. One at a time; the line never wraps, and no line stands on the screen between steps. While
 * a step is live, nobody else writes to the terminal but cli_say(), unless after progress_hold().
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"
#include "client.h"

#define PROGRESS_TICK_MS 100

struct progress {
	bool is_live, has_colors, has_utf8;
	char *title;  /* of the step; NULL: none */
	char *detail; /* what it is at; may be NULL */
	bool is_told; /* in plain lines too */
	bool is_held;
	int64_t begun_ms, drawn_ms;
	unsigned frame;
};

/* Looks at standard error. progress_free() also drops the step that is under way. */
void progress_init(struct progress *progress);
void progress_free(struct progress *progress);
#define _cleanup_progress_ _cleanup_(progress_free)

/* Where nothing is live, the title is a line: "krun-run: building web:latest". */
void progress_begin(struct progress *progress, const char *fmt, ...) _printf_(2, 3);
/* The same for steps that only a live screen shows. */
void progress_begin_live(struct progress *progress, const char *fmt, ...) _printf_(2, 3);

/* Words of others are fit for this as screen_words() makes them. */
void progress_detail(struct progress *progress, const char *fmt, ...) _printf_(2, 3);
void progress_tick(struct progress *progress);

/* Leaves the line standing, because another program writes to the terminal until the step ends. */
void progress_hold(struct progress *progress);

/* Takes the line away until the next tick, for a message; of whatever step is live. */
void progress_make_room(void);

/* The summary: everywhere for progress_begin(), on a live screen for progress_begin_live(). */
void progress_done(struct progress *progress, const char *fmt, ...) _printf_(2, 3);
/* Leaves "x building web:latest  3.2 s"; the error itself is for the caller to say. */
void progress_fail(struct progress *progress);
/* Takes the line away. */
void progress_drop(struct progress *progress);

/* client_do() and client_json() that tick meanwhile; `progress` may have no step. */
int progress_do(struct progress *progress, struct client *client,
		const struct client_request *request, struct buf *ret_answer,
		struct err *err) _must_check_;
int progress_json(struct progress *progress, struct client *client,
		  const struct client_request *request, json_t **ret_answer,
		  struct err *err) _must_check_;

/* "12 s", "2 min 05 s"; with tenths "1.4 s": on the heap. */
char *progress_time(int64_t ms, bool tenths) _must_check_;

#endif
