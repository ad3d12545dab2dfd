/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns for people. Cells are copied; what could drive a terminal in them is replaced, because
 * names come from others. Widths are counted in characters.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/macro.h"

#define TABLE_COLUMNS_MAX 8

struct table {
	size_t columns;
	char **cells; /* strv, row by row, the head first */
};

/* `head` is NULL-terminated, at most TABLE_COLUMNS_MAX; a row has as many cells. */
void table_init(struct table *table, const char *const *head);
void table_done(struct table *table);
#define _cleanup_table_ _cleanup_(table_done)

/* NULL cells are shown as "-". */
void table_add(struct table *table, const char *const *cells);
void table_print(const struct table *table, FILE *out);

/* "3 minutes", "12 MiB": on the heap. */
char *table_age(int64_t ns) _must_check_;
char *table_size(uint64_t bytes) _must_check_;

/* A copy without control characters. */
char *table_clean(const char *text) _must_check_;

#endif
