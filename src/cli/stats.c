/* SPDX-License-Identifier: Apache-2.0 */
/*
 * krunctl stats: a call that follows each machine, and a table of what they say once a second. Without
 * names it is all that run, those that start meanwhile included; with names it ends with the last.
 * Nothing of the terminal is changed that would have to be changed back.
 */
#include "stats.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli.h"
#include "lines.h"
#include "machines.h"
#include "screen.h"

#define STEP_MS    200
#define REFRESH_MS 1000
#define LOOK_MS    2000 /* for machines that have started */
/* More calls than that at once no client makes; who has so many machines names some. */
#define WATCHED_MAX 1000

struct stats;

struct watched {
	struct stats *stats;
	char *name;
	struct client_call *call;
	struct lines lines;
	json_t *before, *last;
	bool has_ended;
	bool is_unknown; /* and does not belong into the table */
};

struct stats {
	struct client *client;
	bool json, no_stream, is_live, all;
	struct watched **items;
	size_t count;
	int code;
	int64_t drawn_at_ms, looked_at_ms;
	size_t drawn; /* lines */
	struct screen_size size;
};

/* ---- one machine ---- */

static int take_figures(void *user, json_t *object, struct err *err)
{
	struct watched *watched = user;

	if (watched->stats->json) {
		json_dumpf(object, stdout, JSON_COMPACT);
		fputc('\n', stdout);
		return cli_flush(err);
	}
	json_decref(watched->before);
	watched->before = watched->last;
	watched->last = json_incref(object);
	return 0;
}

static int watch(struct stats *stats, const char *name, struct err *err)
{
	/* Processor time is that between two answers. */
	bool once = stats->json && stats->no_stream;
	_cleanup_free_ char *path =
		client_path(once ? "/v1/machines/%s/stats" : "/v1/machines/%s/stats?follow=true",
			    name);
	struct watched *watched;

	if (stats->count >= WATCHED_MAX)
		return err_set(err, E2BIG,
			       "more than %d machines at once cannot be shown: name them",
			       WATCHED_MAX);
	watched = mem_new(struct watched);
	watched->stats = stats;
	watched->name = mem_strdup(name);
	lines_init(&watched->lines, take_figures, watched);
	stats->items = mem_realloc_array(stats->items, stats->count + 1, sizeof(watched));
	stats->items[stats->count++] = watched;
	return client_begin(stats->client,
			    &(struct client_request){
				    .method = "GET",
				    .path = path,
				    .accept = once ? NULL : "application/x-ndjson",
				    .sink = lines_sink,
				    .user = &watched->lines,
				    .timeout_ms = once ? 0 : -1,
			    },
			    &watched->call, err);
}

static void watched_free(struct watched *watched)
{
	client_end(watched->call, NULL, NULL);
	lines_done(&watched->lines);
	json_decref(watched->before);
	json_decref(watched->last);
	free(watched->name);
	free(watched);
}

/* The call is over: it has stopped, or there was never anything to tell. */
static int end(struct watched *watched, struct err *err)
{
	struct err reason = {0};
	int r;

	/* One whole answer comes without a newline. */
	if (watched->lines.part.length > 0 && lines_sink(&watched->lines, "\n", 1) < 0)
		return lines_outcome(&watched->lines, -EIO, err);
	r = client_end(take_ptr(watched->call), NULL, &reason);
	r = lines_outcome(&watched->lines, r, &reason);
	watched->has_ended = true;
	json_decref(take_ptr(watched->before));
	json_decref(take_ptr(watched->last));
	if (r >= 0)
		return 0;
	if (r != -ENOENT && r != -EBUSY)
		return err_set(err, reason.errnum, "%s", reason.text);
	/* One of all that has gone since it was listed is nobody's concern. */
	if (!watched->stats->all) {
		watched->is_unknown = true;
		cli_say_error(&reason);
		watched->stats->code = CLI_EXIT_FAILED;
	}
	return 0;
}

static int step_all(struct stats *stats, struct err *err)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < stats->count; i++) {
		struct watched *watched = stats->items[i];

		if (r >= 0 && watched->call != NULL && client_call_is_done(watched->call))
			r = end(watched, err);
		if (watched->is_unknown || (watched->has_ended && stats->all))
			watched_free(watched);
		else
			stats->items[kept++] = watched;
	}
	stats->count = kept;
	return r;
}

/* ---- all machines ---- */

static bool is_watched(const struct stats *stats, const char *id)
{
	for (size_t i = 0; i < stats->count; i++) {
		if (strcmp(stats->items[i]->name, id) == 0)
			return true;
	}
	return false;
}

/* Which run now? They are known by their names. */
static int look(struct stats *stats, struct err *err)
{
	_cleanup_json_ json_t *machines = json_array();
	json_t *machine;
	size_t i;
	int r;

	stats->looked_at_ms = clock_monotonic_ms();
	r = machines_list(stats->client, "running", NULL, machines, err);
	for (i = 0; r >= 0 && i < json_array_size(machines); i++) {
		machine = json_array_get(machines, i);
		if (!is_watched(stats, cli_text(machine, "name")))
			r = watch(stats, cli_text(machine, "name"), err);
	}
	return r;
}

/* ---- the table ---- */

static void make_table(const struct stats *stats, struct table *table)
{
	table_init(table, stats_head);
	for (size_t i = 0; i < stats->count; i++)
		stats_add_row(table, stats->items[i]->name, stats->items[i]->before,
			      stats->items[i]->last);
}

static void draw(struct stats *stats, char *text)
{
	struct screen_size size = screen_size(STDOUT_FILENO);
	_cleanup_strv_ char **lines = NULL;

	for (char *at = text, *newline; (newline = strchr(at, '\n')) != NULL; at = newline + 1) {
		*newline = '\0';
		strv_push(&lines, at);
	}
	/* What stood there has moved: everything is drawn anew. */
	if (stats->drawn > 0 &&
	    (size.columns != stats->size.columns || size.rows != stats->size.rows)) {
		(void)!fd_write_all(STDOUT_FILENO, "\033[H\033[J", 6);
		stats->drawn = 0;
	}
	stats->size = size;
	stats->drawn = stats_draw(STDOUT_FILENO, &size, lines, stats->drawn);
}

static int show(struct stats *stats, struct err *err)
{
	_cleanup_table_ struct table table = {0};
	_cleanup_free_ char *text = NULL;
	size_t length;
	FILE *out;

	stats->drawn_at_ms = clock_monotonic_ms();
	if (stats->count == 0 && !stats->all)
		return 0;
	make_table(stats, &table);
	if (!stats->is_live) {
		table_print(&table, stdout);
		if (!stats->no_stream)
			fputc('\n', stdout);
		return cli_flush(err);
	}
	out = open_memstream(&text, &length);
	if (out == NULL)
		return err_set_errno(err, errno, "drawing");
	table_print(&table, out);
	fclose(out);
	draw(stats, text);
	return 0;
}

/* Is there something new to show? Two answers make a figure of processor time. */
static bool is_ripe(const struct stats *stats)
{
	for (size_t i = 0; i < stats->count; i++) {
		if (!stats->items[i]->has_ended && stats->items[i]->before == NULL)
			return false;
	}
	return true;
}

static bool is_over(const struct stats *stats)
{
	if (stats->all && !stats->no_stream)
		return false;
	for (size_t i = 0; i < stats->count; i++) {
		if (!stats->items[i]->has_ended)
			return false;
	}
	return true;
}

static int refresh(struct stats *stats, bool *ret_over, struct err *err)
{
	int64_t now = clock_monotonic_ms();

	*ret_over = is_over(stats);
	if (stats->json)
		return 0;
	if (stats->no_stream) {
		*ret_over = *ret_over || is_ripe(stats);
		return *ret_over ? show(stats, err) : 0;
	}
	if (*ret_over || now - stats->drawn_at_ms >= REFRESH_MS)
		return show(stats, err);
	return 0;
}

static int run(struct stats *stats, char *const *names, struct err *err)
{
	bool over = false;
	int r = 0;

	for (; *names != NULL && r >= 0; names++)
		r = watch(stats, *names, err);
	while (r >= 0 && !over) {
		if (stats->all && clock_monotonic_ms() - stats->looked_at_ms >= LOOK_MS)
			r = look(stats, err);
		if (r >= 0)
			r = client_step(stats->client, -1, STEP_MS, err);
		if (r >= 0)
			r = step_all(stats, err);
		if (r >= 0)
			r = refresh(stats, &over, err);
	}
	return r < 0 ? r : stats->code;
}

static int connect_and_run(struct stats *stats, char *const *names, struct err *err)
{
	int r;

	stats->all = *names == NULL;
	stats->is_live = !stats->json && !stats->no_stream && screen_is_live(STDOUT_FILENO);
	stats->looked_at_ms = clock_monotonic_ms() - LOOK_MS;
	r = cli_connect(&stats->client, err);
	if (r < 0)
		return r;
	if (stats->is_live)
		screen_guard(STDOUT_FILENO);
	r = run(stats, names, err);
	screen_unguard();
	for (size_t i = 0; i < stats->count; i++)
		watched_free(stats->items[i]);
	free(stats->items);
	client_free(stats->client);
	return r;
}

int command_stats(char **argv, struct err *err)
{
	struct stats stats = {0};
	const struct opt opts[] = {
		{0, "no-stream", OPT_TYPE_FLAG, &stats.no_stream, NULL, "once, and end"},
		{0, "json", OPT_TYPE_FLAG, &stats.json, NULL, "as JSON, one object a line"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl stats [OPTION]... [MACHINE]...",
		.about = "Shows what running machines use, once a second.",
		.opts = opts,
	};
	struct cli_arguments arguments;
	int r;

	r = cli_parse(&parser, argv, 0, &arguments, err);
	return r <= 0 ? r : connect_and_run(&stats, arguments.operands, err);
}
