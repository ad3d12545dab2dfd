/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter spawn [-n COUNT] [-1] [-x TEXT] COMMAND...
 *
 * Times a command to its end, or with -1 to its first output (of which -x TEXT must be a part, when given: whatever comes
 * earlier is read over). Its output is thrown away otherwise. Prints `spawn_ms BEST MIDDLE`; a command that fails ends it.
 */
#include "meter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/opt.h"
#include "base/spawn.h"
#include "base/strv.h"

#define OUTPUT_BYTES_MAX 65536

/* Reads until `text` has come (any byte when NULL). */
static int output_wait(int fd, const char *text)
{
	char data[OUTPUT_BYTES_MAX + 1];
	size_t length = 0;

	while (length < OUTPUT_BYTES_MAX) {
		struct pollfd poller = {.fd = fd, .events = POLLIN};
		ssize_t got;

		if (poll(&poller, 1, METER_TIMEOUT_MS) != 1)
			return -ETIMEDOUT;
		got = read(fd, data + length, OUTPUT_BYTES_MAX - length);
		if (got <= 0)
			return -EPROTO;
		length += (size_t)got;
		data[length] = '\0';
		if (!text || strstr(data, text))
			return 0;
	}
	return -EFBIG;
}

/* Reads the rest, so that the command is never stopped by a full pipe. */
static void output_drain(int fd)
{
	char data[OUTPUT_BYTES_MAX];

	while (read(fd, data, sizeof(data)) > 0)
		continue;
}

static int command_time(const char *path, char **command, bool first, const char *text,
			double *ret_ms)
{
	_cleanup_fd_ int read_fd = -1;
	int fds[2], status, result;
	double started_ms;
	struct err err = {0};
	pid_t pid;

	result = fd_pipe(fds);
	if (result < 0)
		return result;
	read_fd = fds[0];
	started_ms = meter_now_ms();
	result = spawn_program(&(struct spawn){.path = path,
					       .argv = command,
					       .fds = (struct spawn_fd[]){{fds[1], 1}, {2, 2}},
					       .fd_count = 2},
			       &pid, &err);
	fd_close(fds[1]);
	if (result < 0)
		return result;
	if (first) {
		result = output_wait(read_fd, text);
		*ret_ms = meter_now_ms() - started_ms;
	}
	if (result < 0)
		kill(pid, SIGKILL);
	output_drain(read_fd);
	if (waitpid(pid, &status, 0) != pid || (result == 0 && status != 0))
		return -ECHILD;
	if (!first)
		*ret_ms = meter_now_ms() - started_ms;
	return result;
}

int meter_spawn(char **argv)
{
	double taken_ms[METER_ROUNDS_MAX];
	const char *text = NULL;
	long long count = 1;
	bool first = false;
	const struct opt opts[] = {
		{'n', "count", OPT_TYPE_INT, &count, "N", "runs", 1, METER_ROUNDS_MAX},
		{'1', "first", OPT_TYPE_FLAG, &first, NULL, "time to the first output"},
		{'x', "expect", OPT_TYPE_STRING, &text, "TEXT", "what the output must hold"},
		OPT_END,
	};
	const struct opt_parser parser = {"meter spawn [OPTION]... COMMAND...", "", opts, true};
	_cleanup_free_ char *path = NULL;
	enum opt_outcome outcome;
	struct err err = {0};
	char **command;

	if (opt_parse(&parser, argv, &command, NULL, &outcome, &err) < 0 ||
	    (outcome == OPT_OUTCOME_RUN && strv_length(command) == 0)) {
		fprintf(stderr, "meter spawn: %s\n", err.errnum ? err.text : parser.usage);
		return 1;
	}
	if (outcome == OPT_OUTCOME_DONE)
		return 0;
	if (path_find_program(command[0], &path) < 0) {
		fprintf(stderr, "meter spawn: %s: not found\n", command[0]);
		return 1;
	}
	for (size_t i = 0; i < (size_t)count; i++) {
		int result = command_time(path, command, first, text, &taken_ms[i]);

		if (result < 0) {
			fprintf(stderr, "meter spawn: %s: %s\n", command[0], strerror(-result));
			return 1;
		}
	}
	meter_print("spawn_ms", taken_ms, (size_t)count);
	return 0;
}
