/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli.h"
#include "screen.h"
#include "stats.h"

#define DRAW_BYTES_MAX (1024 * 1024)

const char *const stats_head[] = {"NAME",     "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O",
				  "DISK I/O", NULL};

/* -1: not told. */
static long long number(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

static char *cpu_text(json_t *before, json_t *last)
{
	int64_t ns = cli_time_ns(last, "time") - cli_time_ns(before, "time");
	long long us = number(json_object_get(last, "cpu"), "host_us") -
		       number(json_object_get(before, "cpu"), "host_us");

	/* Fewer than before: it was started anew in between. */
	if (before == NULL || last == NULL || ns <= 0 || us < 0)
		return NULL;
	return mem_printf("%.2f%%", 100.0 * (double)us * 1000.0 / (double)ns);
}

static char *pair_text(long long left, long long right)
{
	_cleanup_free_ char *left_text = left >= 0 ? table_size((uint64_t)left) : NULL;
	_cleanup_free_ char *right_text = right >= 0 ? table_size((uint64_t)right) : NULL;

	if (left < 0 && right < 0)
		return NULL;
	return mem_printf("%s / %s", left >= 0 ? left_text : "-", right >= 0 ? right_text : "-");
}

void stats_add_row(struct table *table, const char *name, json_t *before, json_t *last)
{
	json_t *memory = json_object_get(last, "memory");
	json_t *network = json_object_get(last, "network");
	json_t *disk = json_object_get(last, "disk");
	long long total = number(memory, "guest_total_bytes");
	long long available = number(memory, "guest_available_bytes");
	bool told = total > 0 && available >= 0 && available <= total;
	long long used = told ? total - available : number(memory, "host_bytes");
	_cleanup_free_ char *cpu = cpu_text(before, last);
	_cleanup_free_ char *usage = pair_text(used, told ? total : -1);
	_cleanup_free_ char *share =
		told ? mem_printf("%.1f%%", 100.0 * (double)used / (double)total) : NULL;
	_cleanup_free_ char *net =
		pair_text(number(network, "received_bytes"), number(network, "sent_bytes"));
	_cleanup_free_ char *io =
		pair_text(number(disk, "read_bytes"), number(disk, "written_bytes"));
	const char *cells[] = {name, cpu, usage, share, net, io};

	table_add(table, cells);
}

size_t stats_draw(int fd, const struct screen_size *size, char *const *lines, size_t drawn)
{
	size_t count = strv_length(lines), room = size->rows > 2 ? size->rows - 2 : 1;
	size_t shown = MIN(count, room);
	_cleanup_buf_ struct buf text = {0};

	buf_init(&text, DRAW_BYTES_MAX);
	if (drawn > 0)
		(void)!buf_printf(&text, "\r\033[%zuA", drawn);
	for (size_t i = 0; i < shown; i++)
		(void)!buf_printf(&text, "%.*s\033[K\n",
				  (int)screen_fit(lines[i], MAX(size->columns, 2UL) - 1), lines[i]);
	if (count > shown) {
		_cleanup_free_ char *more = mem_printf("and %zu more", count - shown);

		(void)!buf_printf(&text, "%.*s\033[K\n", (int)screen_fit(more, size->columns - 1),
				  more);
		shown++;
	}
	(void)!buf_append_string(&text, "\033[J");
	(void)!fd_write_all(fd, text.data, text.length);
	return shown;
}
