/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "import.h"
#include "maker.h"

#define OUTPUT_BYTES_MAX (4 * MIB)

void run_init(struct run *run)
{
	*run = (struct run){.limits = limits_default, .architecture = "amd64", .output_fd = -1};
	buf_init(&run->events, MIB);
}

void run_done(struct run *run)
{
	fd_close(run->output_fd);
	buf_done(&run->events);
}

enum fault_code run_import(struct run *run, const struct buf *archive)
{
	_cleanup_fd_ int archive_fd = maker_file(archive), spool_fd = -1;
	_cleanup_fd_ int events_fd = maker_file(NULL), out_fd = dup(STDOUT_FILENO);
	struct import import = {
		.archive_fd = archive_fd,
		.architecture = run->architecture,
		.limits = &run->limits,
	};
	int r;

	run->fault = (struct fault){0};
	run->output_fd = fd_close(run->output_fd);
	import.output_fd = run->output_fd = maker_file(NULL);
	r = tarball_needs_spool(archive_fd, &run->fault);
	if (r > 0)
		spool_fd = maker_file(NULL);
	import.spool_fd = spool_fd;
	/* Events go to standard output, as always. */
	fflush(stdout);
	dup2(events_fd, STDOUT_FILENO);
	if (r >= 0)
		r = import_run(&import, &run->fault);
	dup2(out_fd, STDOUT_FILENO);
	lseek(events_fd, 0, SEEK_SET);
	buf_clear(&run->events);
	assert_int_equal(fd_read_to_end(events_fd, &run->events), 0);
	assert_int_equal(r < 0, run->fault.code != FAULT_NONE);
	assert_int_equal(r >= 0, run->events.length > 0 &&
					 strstr(run->events.data, "\"event\":\"done\"") != NULL);
	return run->fault.code;
}

void run_import_well(struct run *run, const struct buf *archive)
{
	if (run_import(run, archive) != FAULT_NONE)
		fail_msg("%s", run->fault.text);
}

/* Standard output and error of a program that has the image as descriptor 3. */
static char *run_program(const char *name, const char *const *argv, int fd, int *ret_status)
{
	_cleanup_fd_ int output_fd = maker_file(NULL);
	const struct spawn_fd fds[] = {{output_fd, STDOUT_FILENO},
				       {output_fd, STDERR_FILENO},
				       {fd, 3}};
	_cleanup_free_ char *path = NULL;
	_cleanup_buf_ struct buf output;
	struct spawn spawn = {.argv = (char *const *)argv, .fds = fds, .fd_count = ARRAY_SIZE(fds)};
	struct err err = {0};
	pid_t pid;

	/* An ordinary user's PATH lacks them. */
	if (path_find_program(name, &path) < 0) {
		path = mem_printf("/usr/sbin/%s", name);
		if (access(path, X_OK) < 0) {
			print_message("%s is not installed\n", name);
			skip();
		}
	}
	spawn.path = path;
	if (spawn_program(&spawn, &pid, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(waitpid(pid, ret_status, 0), pid);
	buf_init(&output, OUTPUT_BYTES_MAX);
	lseek(output_fd, 0, SEEK_SET);
	assert_int_equal(fd_read_to_end(output_fd, &output), 0);
	return buf_take_string(&output);
}

void run_check(int fd)
{
	const char *argv[] = {"e2fsck", "-f", "-n", "/dev/fd/3", NULL};
	_cleanup_free_ char *output = NULL;
	int status;

	output = run_program("e2fsck", argv, fd, &status);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("e2fsck: %.2000s", output);
}

char *run_debugfs(int fd, const char *request)
{
	const char *argv[] = {"debugfs", "-R", request, "/dev/fd/3", NULL};
	int status;
	char *output = run_program("debugfs", argv, fd, &status);

	assert_true(WIFEXITED(status));
	return output;
}
