/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/spawn.h"

/* How often a child is looked at that closed no pipe, because something of its own holds it. */
#define LOOK_MS 500
#define TICK_MS 100

static int start(char *const *argv, int out_fd, int err_fd, pid_t *ret_pid, struct err *err)
{
	_cleanup_free_ char *path = NULL;
	const struct spawn_fd fds[] = {{out_fd, 1}, {err_fd, 2}};
	int r;

	r = path_find_program(argv[0], &path);
	if (r < 0)
		return err_set(err, ENOENT, "%s is not installed", argv[0]);
	return spawn_program(&(struct spawn){.path = path,
					     .argv = argv,
					     .fds = fds,
					     .fd_count = ARRAY_SIZE(fds)},
			     ret_pid, err);
}

static void reap(pid_t pid, int *ret_status)
{
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
}

void child_kill(pid_t pid)
{
	int status;

	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	reap(pid, &status);
}

int child_wait(pid_t pid, int timeout_ms, int *ret_status)
{
	int64_t deadline = clock_monotonic_ms() + timeout_ms;
	struct timespec pause = {.tv_nsec = 1000000};
	pid_t r;

	while ((r = waitpid(pid, ret_status, WNOHANG)) == 0 || (r < 0 && errno == EINTR)) {
		if (clock_left_ms(deadline) == 0) {
			child_kill(pid);
			return -ETIME;
		}
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < LOOK_MS * 1000000L / 10)
			pause.tv_nsec *= 2;
	}
	return r < 0 ? -errno : 0;
}

struct running {
	pid_t pid;
	int fd; /* of its outputs */
	const struct child_watch *watch;
	bool reaped;
	int64_t deadline; /* 0: none */
	int status;
};

/* Keeps the end: the older half goes when there is no room, so that bytes move seldom. */
static void keep(struct buf *kept, const char *part, size_t length)
{
	if (kept->length + length > kept->bytes_max)
		buf_consume(kept, MIN(kept->length, MAX(length, kept->bytes_max / 2)));
	(void)!buf_append(kept, part, MIN(length, kept->bytes_max - kept->length));
}

/* One part of what the child prints. 0 at the end. */
static ssize_t take(struct running *running)
{
	const struct child_watch *watch = running->watch;
	char part[16384];
	ssize_t n = read(running->fd, part, sizeof(part));

	if (n < 0)
		return errno == EINTR ? 1 : 0;
	if (n > 0 && watch->show)
		(void)!fd_write_all(STDERR_FILENO, part, (size_t)n);
	if (n > 0 && watch->kept != NULL)
		keep(watch->kept, part, (size_t)n);
	if (n > 0 && watch->take != NULL)
		watch->take(watch->user, part, (size_t)n);
	return n;
}

/*
 * Until end of file, the deadline, or until the child is dead and the pipe, which one of its own may
 * hold open, is silent.
 */
static void drain(struct running *running)
{
	struct pollfd poll_fd = {.fd = running->fd, .events = POLLIN};
	const struct child_watch *watch = running->watch;
	int n;

	for (;;) {
		n = poll(&poll_fd, 1, running->reaped ? 0 : watch->take ? TICK_MS : LOOK_MS);
		if (watch->take != NULL)
			watch->take(watch->user, NULL, 0);
		if (n > 0 && take(running) <= 0)
			return;
		if (n == 0 && running->reaped)
			return;
		if (n == 0 && waitpid(running->pid, &running->status, WNOHANG) == running->pid)
			running->reaped = true;
		if (running->deadline > 0 && clock_left_ms(running->deadline) == 0)
			return;
	}
}

/* Starts it with both outputs in one pipe, so that their order stays. */
static int start_piped(char *const *argv, struct running *running, struct err *err)
{
	int fds[2], r;

	r = fd_pipe(fds);
	if (r < 0)
		return err_set_errno(err, -r, "making a pipe");
	r = start(argv, fds[1], fds[1], &running->pid, err);
	fd_close(fds[1]);
	if (r < 0)
		fd_close(fds[0]);
	else
		running->fd = fds[0];
	return r;
}

int child_ask(char *const *argv, int timeout_ms, struct buf *output, int *ret_status,
	      struct err *err)
{
	const struct child_watch watch = {.kept = output};
	struct running running = {.watch = &watch, .deadline = clock_monotonic_ms() + timeout_ms};
	int r;

	r = start_piped(argv, &running, err);
	if (r < 0)
		return r;
	drain(&running);
	fd_close(running.fd);
	if (!running.reaped &&
	    child_wait(running.pid, clock_left_ms(running.deadline), &running.status) < 0)
		return err_set(err, ETIME, "%s did not answer within %d s", argv[0],
			       timeout_ms / 1000);
	*ret_status = running.status;
	return 0;
}

int child_show(char *const *argv, const struct child_watch *watch, int *ret_status, struct err *err)
{
	struct running running = {.watch = watch};
	int r;

	if (watch == NULL) {
		r = start(argv, STDERR_FILENO, STDERR_FILENO, &running.pid, err);
		if (r < 0)
			return r;
	} else {
		r = start_piped(argv, &running, err);
		if (r < 0)
			return r;
		drain(&running);
		fd_close(running.fd);
	}
	if (!running.reaped)
		reap(running.pid, &running.status);
	*ret_status = running.status;
	return 0;
}

int child_pipe(char *const *argv, int err_fd, pid_t *ret_pid, int *ret_fd, struct err *err)
{
	int fds[2], r;

	r = fd_pipe(fds);
	if (r < 0)
		return err_set_errno(err, -r, "making a pipe");
	r = start(argv, fds[1], err_fd, ret_pid, err);
	fd_close(fds[1]);
	if (r < 0)
		fd_close(fds[0]);
	else
		*ret_fd = fds[0];
	return r;
}

char *child_status_text(char *const *argv, int status)
{
	if (WIFSIGNALED(status))
		return mem_printf("%s %s was killed by signal %d", argv[0], argv[1],
				  WTERMSIG(status));
	return mem_printf("%s %s ended with %d", argv[0], argv[1], WEXITSTATUS(status));
}
