/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child tells its errno over a close-on-exec pipe; end of file without one means that the new
 * program runs. Listed descriptors are first moved above every number of the list, then to their
 * places, so that no assignment can overwrite one that is still needed.
 */
#include "spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "proc.h"

extern char **environ;

static int number_max(const struct spawn *spawn)
{
	int max = STDERR_FILENO;

	for (size_t i = 0; i < spawn->fd_count; i++)
		max = MAX(max, spawn->fds[i].number);
	return max;
}

static int open_null_at(int number)
{
	int fd = open("/dev/null", O_RDWR);

	if (fd < 0)
		return -errno;
	if (fd == number)
		return 0;
	if (dup2(fd, number) < 0)
		return -errno;
	fd_close(fd);
	return 0;
}

/* Copies of the listed descriptors above every number of the list, -1 for /dev/null. */
static int move_fds_up(const struct spawn *spawn, int above, int moved[SPAWN_FDS_MAX])
{
	for (size_t i = 0; i < spawn->fd_count; i++) {
		moved[i] = -1;
		if (spawn->fds[i].fd < 0)
			continue;
		moved[i] = fcntl(spawn->fds[i].fd, F_DUPFD_CLOEXEC, above + 1);
		if (moved[i] < 0)
			return -errno;
	}
	return 0;
}

/* Index of `number` in the list, or its length. */
static size_t find_number(const struct spawn *spawn, int number)
{
	size_t i = 0;

	while (i < spawn->fd_count && spawn->fds[i].number != number)
		i++;
	return i;
}

/* What shall stand at `number` in the child: a listed one, /dev/null, or nothing. */
static int place_number(const struct spawn *spawn, const int *moved, int number)
{
	size_t i = find_number(spawn, number);
	int r;

	if (i < spawn->fd_count && moved[i] >= 0)
		return dup2(moved[i], number) < 0 ? -errno : 0;
	if (i < spawn->fd_count || number <= STDERR_FILENO)
		return open_null_at(number);
	r = fd_set_cloexec(number, true);
	return r == -EBADF ? 0 : r;
}

static int place_fds(const struct spawn *spawn, int above, int *error_fd)
{
	int moved[SPAWN_FDS_MAX] = {0}, r;

	*error_fd = fcntl(*error_fd, F_DUPFD_CLOEXEC, above + 1);
	if (*error_fd < 0)
		return -errno;
	r = move_fds_up(spawn, above, moved);
	for (int number = 0; r >= 0 && number <= above; number++)
		r = place_number(spawn, moved, number);
	return r < 0 ? r : fd_set_cloexec_from(above + 1);
}

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++) {
		if (sig != SIGKILL && sig != SIGSTOP)
			(void)signal(sig, SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _noreturn_ void run_child(const struct spawn *spawn, pid_t parent, int error_fd)
{
	int r = 0;

	reset_signals();
	if (spawn->new_session && setsid() < 0)
		r = -errno;
	if (r >= 0 && spawn->die_with_parent)
		r = proc_die_with_parent(parent);
	if (r >= 0)
		r = place_fds(spawn, number_max(spawn), &error_fd);
	if (r >= 0) {
		execve(spawn->path, spawn->argv, spawn->env != NULL ? spawn->env : environ);
		r = -errno;
	}
	(void)!write(error_fd, &r, sizeof(r));
	_exit(127);
}

/* The child's errno, or 0 when it runs the new program. */
static int read_outcome(int fd)
{
	int outcome;
	ssize_t n;

	do {
		n = read(fd, &outcome, sizeof(outcome));
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(outcome) ? outcome : 0;
}

int spawn_program(const struct spawn *spawn, pid_t *ret_pid, struct err *err)
{
	int pipe_fds[2];
	pid_t parent = getpid(), pid;
	sigset_t all, old;
	int r;

	assert(spawn->fd_count <= SPAWN_FDS_MAX);
	r = fd_pipe(pipe_fds);
	if (r < 0)
		return err_set_errno(err, -r, "cannot make a pipe to start '%s'", spawn->path);
	/* No handler of ours may run in the child before its signals are reset. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		run_child(spawn, parent, pipe_fds[1]);
	r = pid < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	fd_close(pipe_fds[1]);
	if (r >= 0)
		r = read_outcome(pipe_fds[0]);
	fd_close(pipe_fds[0]);
	if (r < 0) {
		if (pid > 0)
			waitpid(pid, NULL, 0);
		return err_set_errno(err, -r, "cannot start '%s'", spawn->path);
	}
	*ret_pid = pid;
	return 0;
}
