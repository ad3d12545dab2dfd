/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "progress.h"

static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP};

void worker_report(const struct fault *fault, bool events)
{
	log_error("%s", fault->text);
	if (events)
		progress_error(fault);
}

static void fill_signals(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(stop_signals); i++)
		sigaddset(set, stop_signals[i]);
	sigaddset(set, SIGCHLD);
}

static _noreturn_ void run_child(const struct worker *worker, int output_fd, pid_t parent)
{
	struct fault fault = {0};
	sigset_t none;
	int r;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (proc_die_with_parent(parent) < 0)
		_exit(1);
	r = worker->work(worker->context, output_fd, &fault);
	if (r >= 0 && fsync(output_fd) < 0)
		r = fault_set_errno(&fault, errno, "cannot write %s", worker->output_path);
	if (r < 0)
		worker_report(&fault, worker->events);
	_exit(r < 0 ? 1 : 0);
}

/* What the child's end means. 0 when it was a good one; a child that failed has said so itself. */
static int judge(int status, struct fault *fault)
{
	if (WIFSIGNALED(status))
		return fault_set(fault, FAULT_CRASHED, "the image worker was killed by signal %d",
				 WTERMSIG(status));
	return WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* Waits for the child or for a signal to stop, whichever comes first. */
static int await(pid_t child, struct fault *fault)
{
	sigset_t set;
	int number, status;

	fill_signals(&set);
	for (;;) {
		pid_t r = waitpid(child, &status, WNOHANG);

		if (r == child)
			return judge(status, fault);
		if (r < 0 && errno != EINTR)
			return fault_set_errno(fault, errno, "cannot wait for the image worker");
		if (sigwait(&set, &number) != 0 || number == SIGCHLD)
			continue;
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		return fault_set(fault, FAULT_CANCELLED, "stopped by signal %d", number);
	}
}

static int start_and_await(const struct worker *worker, int output_fd, struct fault *fault)
{
	pid_t parent = getpid(), child = fork();

	if (child < 0)
		return fault_set_errno(fault, errno, "cannot start the image worker");
	if (child == 0)
		run_child(worker, output_fd, parent);
	return await(child, fault);
}

static void prepare_signals(void)
{
	sigset_t set;

	/* Who ignores SIGCHLD is not told of children; a file that may not grow is an error, not death. */
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	fill_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int worker_run(const struct worker *worker)
{
	_cleanup_fd_ int fd = -1;
	struct fault fault = {0};
	int r;

	/* Before there is a file: from then on a signal to stop must find somebody who removes it. */
	prepare_signals();
	fd = open(worker->output_path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		fault_set_errno(&fault, errno, "cannot create %s", worker->output_path);
		worker_report(&fault, worker->events);
		return 1;
	}
	r = start_and_await(worker, fd, &fault);
	if (r < 0) {
		unlink(worker->output_path);
		if (fault.code != FAULT_NONE)
			worker_report(&fault, worker->events);
	}
	return r < 0 ? 1 : 0;
}
