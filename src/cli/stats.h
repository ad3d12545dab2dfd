/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine's figures mean between two of its answers; the rest of `krunctl stats` is in stats.c. */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include <jansson.h>

#include "base/macro.h"
#include "table.h"

/* Columns of the table, NULL-terminated. */
extern const char *const stats_head[];

/*
 * A row from the last answer and the one before it, either of which may be NULL: what cannot be told
 * is "-". CPU is what the machine's processes took of one processor of the host, as docker counts.
 */
void stats_add_row(struct table *table, const char *name, json_t *before, json_t *last);

/*
 * Draws lines over the `drawn` ones that stand above the cursor, cut to the screen; returns how many
 * stand there now. Text of `size` columns and rows; it is written in one piece.
 */
struct screen_size;
size_t stats_draw(int fd, const struct screen_size *size, char *const *lines, size_t drawn);

#endif
