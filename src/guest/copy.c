/* SPDX-License-Identifier: Apache-2.0 */
#include "copy.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"

static const struct {
	int error;
	enum wire_copy_code code;
} codes[] = {
	{ENOENT, WIRE_COPY_NOT_FOUND}, {ENOTDIR, WIRE_COPY_NOT_DIRECTORY},
	{EACCES, WIRE_COPY_REFUSED},   {EPERM, WIRE_COPY_REFUSED},
	{EROFS, WIRE_COPY_REFUSED},    {ELOOP, WIRE_COPY_REFUSED},
	{EXDEV, WIRE_COPY_REFUSED},    {ENOSPC, WIRE_COPY_NO_SPACE},
	{EDQUOT, WIRE_COPY_NO_SPACE},
};

static uint32_t code_of(int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (codes[i].error == error)
			return codes[i].code;
	}
	return WIRE_COPY_FAILED;
}

int copy_fail_errno(struct failure *failure, const char *format, ...)
{
	const char *why = strerror(errno);
	size_t length;
	va_list args;

	failure->code = code_of(errno);
	va_start(args, format);
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	va_end(args);
	length = strlen(failure->text);
	snprintf(failure->text + length, sizeof(failure->text) - length, ": %s", why);
	return -1;
}

/* Names are the guest's: one line stays one line. */
static void say(char *line, size_t size)
{
	size_t length = strnlen(line, size - 2);

	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == '\x7f')
			line[i] = '?';
	}
	line[length++] = '\n';
	(void)!write(STDERR_FILENO, line, length);
}

void copy_warn(const char *format, ...)
{
	char line[LIMIT_SENTENCE_BYTES + 2];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	say(line, sizeof(line));
}

uint32_t copy_run(const struct copy_job *job)
{
	struct failure failure = {.code = WIRE_COPY_DONE};
	int r;

	umask(0); /* modes are what they are given as */
	if (job->path == NULL || job->path[0] != '/')
		r = failure_set(&failure, WIRE_COPY_NOT_FOUND, "a copy needs an absolute path");
	else if (job->kind == WIRE_KIND_PUT)
		r = copy_put(STDIN_FILENO, job->path, &failure);
	else
		r = copy_get(STDOUT_FILENO, job->path, job->entry_only, &failure);
	if (r < 0)
		copy_warn("%s", failure.text);
	return r < 0 ? failure.code : WIRE_COPY_DONE;
}

/* PID 1 has blocked all signals; it neither ignores nor handles any. */
static void unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void copy_child(const struct copy_job *job, const int standard_fds[3])
{
	if (setsid() < 0)
		_exit(WIRE_COPY_FAILED);
	for (int i = 0; i < 3; i++) {
		if (dup2(standard_fds[i], i) < 0)
			_exit(WIRE_COPY_FAILED);
	}
	/* No exec closes them; among them are the ends of other sessions' pipes. */
	if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0) < 0)
		_exit(WIRE_COPY_FAILED);
	unblock_signals();
	_exit((int)copy_run(job));
}
