/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#define INPUT_TIMEOUT_MS 10000
#define END_POLL_MS      5

static int spawn_with_input(struct child *child, const struct spawn *spawn, int input_fd,
			    struct err *err)
{
	struct spawn_fd fds[SPAWN_FDS_MAX];
	struct spawn whole = *spawn;
	pid_t pid;
	int r;

	assert(spawn->fd_count < SPAWN_FDS_MAX);
	fds[0] = (struct spawn_fd){.fd = input_fd, .number = STDIN_FILENO};
	for (size_t i = 0; i < spawn->fd_count; i++)
		fds[i + 1] = spawn->fds[i];
	whole.fds = fds;
	whole.fd_count = spawn->fd_count + 1;
	whole.new_session = true;
	whole.die_with_parent = true;
	r = spawn_program(&whole, &pid, err);
	if (r < 0)
		return r;
	*child = (struct child){.id.pid = pid, .running = true};
	(void)!proc_identify(pid, &child->id);
	return 0;
}

int child_start(struct child *child, const struct spawn *spawn, const struct buf *input,
		struct err *err)
{
	int pipe_fds[2];
	int r;

	r = fd_pipe(pipe_fds);
	if (r < 0)
		return err_set_errno(err, -r, "cannot make a pipe to '%s'", spawn->path);
	r = spawn_with_input(child, spawn, pipe_fds[0], err);
	fd_close(pipe_fds[0]);
	if (r < 0) {
		fd_close(pipe_fds[1]);
		return r;
	}
	r = fd_set_nonblock(pipe_fds[1], true);
	if (r >= 0)
		r = fd_write_all_until(pipe_fds[1], input->data, input->length,
				       clock_monotonic_ms() + INPUT_TIMEOUT_MS);
	fd_close(pipe_fds[1]);
	/* A child that has ended already says itself why, by its own channel. */
	if (r < 0 && r != -EPIPE) {
		child_end(child, 0);
		return err_set_errno(err, -r, "cannot give '%s' its configuration", spawn->path);
	}
	return 0;
}

bool child_reap(struct child *child)
{
	pid_t pid;

	if (!child->running)
		return false;
	do {
		pid = waitpid(child->id.pid, &child->status, WNOHANG);
	} while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return false;
	child->running = false;
	return true;
}

bool child_continued(const struct child *child)
{
	siginfo_t info = {.si_pid = 0};

	return child->running &&
	       waitid(P_PID, (id_t)child->id.pid, &info, WCONTINUED | WNOHANG) == 0 &&
	       info.si_pid == child->id.pid;
}

void child_kill(struct child *child, int sig)
{
	if (child->running)
		(void)kill(child->id.pid, sig);
}

void child_end(struct child *child, int64_t deadline_ms)
{
	while (child->running && !child_reap(child) && clock_left_ms(deadline_ms) > 0)
		(void)poll(NULL, 0, END_POLL_MS);
	if (!child->running)
		return;
	child_kill(child, SIGKILL);
	while (waitpid(child->id.pid, &child->status, 0) < 0 && errno == EINTR)
		;
	child->running = false;
}
