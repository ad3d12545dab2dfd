/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a terminal in front of a person can show. A screen is live where its cursor can be moved: a
 * terminal, and TERM says neither "dumb" nor nothing.
 *
 * Widths are columns. They are never guessed too small: what is cut by them does not wrap.
 */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macro.h"

struct screen_size {
	size_t columns, rows;
};

bool screen_is_live(int fd);
/* Live, and NO_COLOR is not set (no-color.org). */
bool screen_has_colors(int fd);
/* The locale's characters are UTF-8. */
bool screen_has_utf8(void);

/* What it is now; 80 by 24 where the terminal does not say. */
struct screen_size screen_size(int fd);

/* Columns that the text takes at most, and how many of its bytes fit in so many. */
size_t screen_columns(const char *text);
size_t screen_fit(const char *text, size_t columns);

/*
 * The words of a line of another program's output, on the heap: without escape sequences and control
 * characters; of what was overwritten by a carriage return, the last.
 */
char *screen_words(const char *line, size_t length) _must_check_;

/*
 * Until screen_unguard(), a signal that ends this process takes the cursor's line away first.
 * Signals that somebody else handles or ignores are left alone. Not nested.
 */
void screen_guard(int fd);
void screen_unguard(void);

#endif
