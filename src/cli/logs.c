/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "cli.h"

#define PATH_BYTES_MAX 8192
/* Nothing comes for that long from a server that was asked for what it has. */
#define READ_IDLE_S 60

struct logs {
	bool follow, timestamps;
	const char *tail, *since, *until, *source;
};

static int write_out(void *user, const char *data, size_t length)
{
	return fd_write_all(STDOUT_FILENO, data, length);
}

static void add_query(struct buf *path, const char *format, const char *value)
{
	_cleanup_free_ char *part = value != NULL ? client_path(format, value) : NULL;

	if (part != NULL)
		(void)!buf_append_string(path, part);
}

/* As the server takes it, on the heap. */
static int read_time(const char *text, char **ret_time, struct err *err)
{
	char formatted[CLOCK_RFC3339_BYTES];
	int64_t ns;
	int r;

	r = cli_read_time(text, &ns, err);
	if (r < 0)
		return r;
	clock_format_rfc3339(ns, formatted);
	*ret_time = mem_strdup(formatted);
	return 0;
}

static int print_logs(struct logs *logs, const char *name, struct err *err)
{
	_cleanup_client_ struct client *client = NULL;
	_cleanup_free_ char *base = NULL, *since = NULL, *until = NULL;
	_cleanup_buf_ struct buf path = {0};
	int r = 0;

	if (logs->since != NULL)
		r = read_time(logs->since, &since, err);
	if (r >= 0 && logs->until != NULL)
		r = read_time(logs->until, &until, err);
	if (r >= 0)
		r = cli_connect(&client, err);
	if (r < 0)
		return r;
	base = client_path("/v1/machines/%s/logs?source=", name);
	buf_init(&path, PATH_BYTES_MAX);
	(void)!buf_append_string(&path, base);
	add_query(&path, "%s", logs->source);
	add_query(&path, "&tail=%s", logs->tail);
	add_query(&path, "&since=%s", since);
	add_query(&path, "&until=%s", until);
	if (logs->follow)
		(void)!buf_append_string(&path, "&follow=true");
	if (logs->timestamps)
		(void)!buf_append_string(&path, "&timestamps=true");
	return client_do(client,
			 &(struct client_request){
				 .method = "GET",
				 .path = path.data,
				 .accept = "text/plain",
				 .sink = write_out,
				 .timeout_ms = -1,
				 .idle_s = logs->follow ? 0 : READ_IDLE_S,
			 },
			 NULL, err);
}

int command_logs(char **argv, struct err *err)
{
	struct logs logs = {.source = "stdout,stderr"};
	const struct opt opts[] = {
		{'f', "follow", OPT_TYPE_FLAG, &logs.follow, NULL,
		 "go on with what comes, until the machine has stopped"},
		{'n', "tail", OPT_TYPE_STRING, &logs.tail, "N", "only the last N lines"},
		{0, "since", OPT_TYPE_STRING, &logs.since, "TIME",
		 "only what is younger: RFC 3339, or 10m for ten minutes"},
		{0, "until", OPT_TYPE_STRING, &logs.until, "TIME", "only what is older"},
		{'t', "timestamps", OPT_TYPE_FLAG, &logs.timestamps, NULL,
		 "each line with its time"},
		{0, "source", OPT_TYPE_STRING, &logs.source, "LIST",
		 "of stdout, stderr, console (stdout,stderr)"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl logs [OPTION]... MACHINE",
		.about = "Prints what the programs of a machine printed.",
		.opts = opts,
	};
	const char *machine;
	int r;

	r = cli_parse_one(&parser, argv, "machine", &machine, err);
	return r <= 0 ? r : print_logs(&logs, machine, err);
}
