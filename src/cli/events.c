/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "cli.h"
#include "lines.h"
#include "table.h"

#define PATH_BYTES_MAX   4096
#define DETAIL_BYTES_MAX 65536
/* Nothing comes for that long from a server that was asked for what it has. */
#define READ_IDLE_S 60
/* How long a server that went away is looked for, and how often. */
#define LOST_S   60
#define RETRY_MS 300

struct events {
	const char *since;
	const char *machine; /* NULL: of everything */
	bool json, no_follow, follow;
	int64_t since_ns;   /* older ones are not shown */
	json_int_t last;    /* id of the last one; 0: none has come */
	int64_t lost_at_ms; /* 0: the server answers */
};

/* ---- one event ---- */

/* Here it is people who read: their own time, to the second. */
static void format_time(int64_t ns, char *ret_text, size_t size)
{
	time_t seconds = (time_t)(ns / CLOCK_NS_PER_S);
	struct tm tm;

	if (ns < 0 || localtime_r(&seconds, &tm) == NULL ||
	    strftime(ret_text, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(ret_text, size, "-");
}

static void add_attribute(struct buf *text, const char *name, json_t *value)
{
	_cleanup_free_ char *number = NULL;
	const char *shown = json_string_value(value);

	/* What is not so, and what counts the starts, nobody looks for. */
	if (json_is_null(value) || json_is_false(value) || strcmp(name, "generation") == 0)
		return;
	if (json_is_true(value)) {
		(void)!buf_printf(text, "%s%s", text->length > 0 ? " " : "", name);
		return;
	}
	if (shown == NULL) {
		number = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		shown = number != NULL ? number : "";
	}
	(void)!buf_printf(text, "%s%s=%s", text->length > 0 ? " " : "", name, shown);
}

/* The reason, and what else the event knows, on the heap. */
static char *detail_text(json_t *event)
{
	_cleanup_buf_ struct buf text = {0};
	_cleanup_free_ char *whole = NULL;
	const char *name;
	json_t *value;

	buf_init(&text, DETAIL_BYTES_MAX);
	json_object_foreach(json_object_get(event, "attributes"), name, value)
		add_attribute(&text, name, value);
	if (*cli_text(event, "reason") != '\0')
		(void)!buf_printf(&text, "%s%s", text.length > 0 ? ": " : "",
				  cli_text(event, "reason"));
	whole = buf_take_string(&text);
	return table_clean(whole);
}

static int print_event(json_t *event, struct err *err)
{
	_cleanup_free_ char *detail = detail_text(event);
	_cleanup_free_ char *name = table_clean(cli_text(event, "name"));
	_cleanup_free_ char *type = table_clean(cli_text(event, "type"));
	char time[32];

	format_time(cli_time_ns(event, "time"), time, sizeof(time));
	if (*detail != '\0')
		printf("%-19s  %-18s  %-20s  %s\n", time, type, name, detail);
	else
		printf("%-19s  %-18s  %s\n", time, type, name);
	return cli_flush(err);
}

static int take_event(void *user, json_t *event, struct err *err)
{
	struct events *events = user;

	events->last = json_integer_value(json_object_get(event, "id"));
	events->lost_at_ms = 0;
	if (cli_time_ns(event, "time") < events->since_ns)
		return 0;
	if (!events->json)
		return print_event(event, err);
	json_dumpf(event, stdout, JSON_COMPACT);
	fputc('\n', stdout);
	return cli_flush(err);
}

/* ---- the call ---- */

/* A number is an event's id; anything else is a time, which the server does not search by. */
static int read_since(struct events *events, struct err *err)
{
	const char *id = events->since;
	int r;

	if (id == NULL || (*id != '\0' && id[strspn(id, "0123456789")] == '\0'))
		return 0;
	r = cli_read_time(id, &events->since_ns, err);
	if (r >= 0)
		events->since = "0";
	return r;
}

static int make_path(const struct events *events, char **ret_path, struct err *err)
{
	_cleanup_buf_ struct buf path = {0};

	buf_init(&path, PATH_BYTES_MAX);
	(void)!buf_printf(&path, "/v1/events?follow=%s", events->no_follow ? "false" : "true");
	if (events->last > 0)
		(void)!buf_printf(&path, "&since=%lld", (long long)events->last);
	else if (events->since != NULL)
		(void)!buf_printf(&path, "&since=%s", events->since);
	if (events->machine != NULL) {
		_cleanup_free_ char *part = client_path("&machine=%s", events->machine);

		if (buf_append_string(&path, part) < 0)
			return err_set(err, E2BIG, "no machine has so long a name");
	}
	*ret_path = buf_take_string(&path);
	return 0;
}

static int print_some(struct client *client, struct events *events, struct err *err)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_lines_ struct lines lines;
	int r;

	lines_init(&lines, take_event, events);
	r = make_path(events, &path, err);
	if (r < 0)
		return r;
	r = client_do(client,
		      &(struct client_request){
			      .method = "GET",
			      .path = path,
			      .accept = "application/x-ndjson",
			      .sink = lines_sink,
			      .user = &lines,
			      .timeout_ms = -1,
			      .idle_s = events->no_follow ? READ_IDLE_S : 0,
		      },
		      NULL, err);
	return lines_outcome(&lines, r, err);
}

/* A server that is started anew knows where we were: nothing is lost. */
static bool may_come_back(struct events *events, int r, const struct err *err)
{
	int64_t now = clock_monotonic_ms();

	if (events->no_follow || (r != 0 && r != -ECONNREFUSED && r != -ECONNRESET))
		return false;
	/* One that never answered is not away: it is not there. */
	if (events->last == 0 && r == -ECONNREFUSED)
		return false;
	if (events->lost_at_ms == 0) {
		events->lost_at_ms = now;
		cli_say("%s; looking for it for %d s", r == 0 ? "the server ended" : err->text,
			LOST_S);
	}
	poll(NULL, 0, RETRY_MS);
	return now - events->lost_at_ms < LOST_S * 1000LL;
}

static int print_events(struct events *events, struct err *err)
{
	_cleanup_client_ struct client *client = NULL;
	int r;

	r = read_since(events, err);
	if (r >= 0)
		r = cli_connect(&client, err);
	if (r < 0)
		return r;
	do {
		r = print_some(client, events, err);
	} while (may_come_back(events, r, err));
	return r;
}

int command_events(char **argv, struct err *err)
{
	struct events events = {0};
	const struct opt opts[] = {
		{0, "since", OPT_TYPE_STRING, &events.since, "ID|TIME",
		 "from the event after this one, or this young: RFC 3339, or 10m; 0: all there "
		 "are"},
		{'f', "follow", OPT_TYPE_FLAG, &events.follow, NULL,
		 "go on with what happens (that is what it does)"},
		{0, "no-follow", OPT_TYPE_FLAG, &events.no_follow, NULL,
		 "print what has happened and end"},
		{0, "json", OPT_TYPE_FLAG, &events.json, NULL, "as JSON, one object a line"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl events [OPTION]... [MACHINE]",
		.about = "Prints what happens to machines, images and volumes, as it happens.",
		.opts = opts,
	};
	struct cli_arguments arguments;
	int r;

	r = cli_parse(&parser, argv, 0, &arguments, err);
	if (r <= 0)
		return r;
	if (arguments.count > 1)
		return err_set(err, EINVAL, "events takes one machine at a time");
	if (events.follow && events.no_follow)
		return err_set(err, EINVAL, "-f and --no-follow exclude each other");
	events.machine = arguments.operands[0];
	return print_events(&events, err);
}
