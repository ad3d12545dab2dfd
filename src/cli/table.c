/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"

#define GAP 3

void table_init(struct table *table, const char *const *head)
{
	*table = (struct table){0};
	while (head[table->columns] != NULL)
		table->columns++;
	table_add(table, head);
}

void table_done(struct table *table)
{
	strv_free(table->cells);
	*table = (struct table){0};
}

void table_add(struct table *table, const char *const *cells)
{
	for (size_t i = 0; i < table->columns; i++)
		strv_push_take(&table->cells, table_clean(cells[i] != NULL ? cells[i] : "-"));
}

char *table_clean(const char *text)
{
	char *clean = mem_strdup(text);

	for (unsigned char *p = (unsigned char *)clean; *p != '\0'; p++) {
		/* C0 and DEL; C1 is 0xc2 0x80..0x9f in UTF-8. */
		if (*p < ' ' || *p == 0x7f)
			*p = '?';
		else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			p[0] = p[1] = '?';
	}
	return clean;
}

static size_t width(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++) {
		if (((unsigned char)*text & 0xc0) != 0x80)
			count++;
	}
	return count;
}

void table_print(const struct table *table, FILE *out)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};
	size_t count = strv_length(table->cells);

	for (size_t i = 0; i < count; i++)
		widths[i % table->columns] =
			MAX(widths[i % table->columns], width(table->cells[i]));
	for (size_t i = 0; i < count; i++) {
		size_t column = i % table->columns;

		fputs(table->cells[i], out);
		if (column + 1 == table->columns)
			fputc('\n', out);
		else
			fprintf(out, "%*s", (int)(widths[column] - width(table->cells[i])) + GAP,
				"");
	}
}

char *table_age(int64_t ns)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
	int64_t seconds = ns / CLOCK_NS_PER_S;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		int64_t n = seconds / units[i].seconds;

		if (n > 0)
			return mem_printf("%lld %s%s", (long long)n, units[i].name,
					  n > 1 ? "s" : "");
	}
	return mem_strdup("0 seconds");
}

char *table_size(uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;
	uint64_t tenths = bytes * 10;

	if (bytes < 1024)
		return mem_printf("%u bytes", (unsigned)bytes);
	if (bytes > UINT64_MAX / 10)
		tenths = UINT64_MAX;
	while (tenths >= 10240 && unit + 1 < ARRAY_SIZE(units)) {
		tenths /= 1024;
		unit++;
	}
	if (tenths >= 100)
		return mem_printf("%llu %s", (unsigned long long)tenths / 10, units[unit]);
	return mem_printf("%llu.%llu %s", (unsigned long long)tenths / 10,
			  (unsigned long long)tenths % 10, units[unit]);
}
