/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "copy.h"
#include "exec.h"
#include "fd.h"

/* What the child gets; ours are in the process. */
struct child_ends {
	int in, out, err, status;
};

static void child_ends_close(struct child_ends *ends)
{
	fd_close(&ends->in);
	fd_close(&ends->out);
	fd_close(&ends->err);
	fd_close(&ends->status);
}

void process_init(struct process *process)
{
	memset(process, 0, sizeof(*process));
	process->status_fd = process->in_fd = process->out_fd = process->err_fd = -1;
	process->held_fds[0] = process->held_fds[1] = -1;
}

static int open_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	*ret_read = fds[0];
	*ret_write = fds[1];
	return 0;
}

static int open_pipes(struct process *process, struct child_ends *ends, bool with_stdin)
{
	if (with_stdin) {
		if (open_pipe(&ends->in, &process->in_fd) < 0)
			return -1;
	} else {
		ends->in = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (ends->in < 0)
			return -1;
	}
	if (open_pipe(&process->out_fd, &ends->out) < 0 ||
	    open_pipe(&process->err_fd, &ends->err) < 0)
		return -1;
	return 0;
}

/* The child has its own. */
static void hold_outputs(struct process *process, struct child_ends *ends)
{
	if (process->kind != PROCESS_SESSION || process->tty)
		return;
	process->held_fds[0] = take_fd(ends->out);
	process->held_fds[1] = take_fd(ends->err);
}

static void let_outputs_go(struct process *process)
{
	fd_close(&process->held_fds[0]);
	fd_close(&process->held_fds[1]);
}

static int open_terminal(struct process *process, struct child_ends *ends)
{
	char *name;

	process->out_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (process->out_fd < 0 || grantpt(process->out_fd) < 0 || unlockpt(process->out_fd) < 0)
		return -1;
	name = ptsname(process->out_fd);
	if (name == NULL)
		return -1;
	process->in_fd = fcntl(process->out_fd, F_DUPFD_CLOEXEC, 0);
	ends->in = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (ends->in < 0 || process->in_fd < 0)
		return -1;
	ends->out = fcntl(ends->in, F_DUPFD_CLOEXEC, 0);
	ends->err = fcntl(ends->in, F_DUPFD_CLOEXEC, 0);
	return ends->out < 0 || ends->err < 0 ? -1 : 0;
}

static int open_ends(struct process *process, struct child_ends *ends, bool with_stdin)
{
	int fds[4];

	if (process->kind == PROCESS_WORKLOAD && open_pipe(&process->status_fd, &ends->status) < 0)
		return -1;
	if ((process->tty ? open_terminal(process, ends) : open_pipes(process, ends, with_stdin)) <
	    0)
		return -1;
	fds[0] = process->status_fd;
	fds[1] = process->in_fd;
	fds[2] = process->out_fd;
	fds[3] = process->err_fd;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (fds[i] >= 0 && fd_set_nonblocking(fds[i]) < 0)
			return -1;
	}
	return 0;
}

static int start_child(struct process *process, const struct child_ends *ends,
		       const struct wire_process *what)
{
	pid_t pid;

	process->room = exec_room_take(&(struct exec_plan){
		.what = what,
		.stdin_fd = ends->in,
		.stdout_fd = ends->out,
		.stderr_fd = ends->err,
	});
	if (process->room == NULL)
		return failure_set(&process->failure, CODE_SET_UP,
				   "there is no memory to start a process in");
	process->oom_kills_before = platform_oom_kills(process->kind);
	process->forked_ns = clock_now_ns();
	pid = exec_room_spawn(process->room, process->kind);
	if (pid < 0) {
		exec_room_give_back(process->room);
		process->room = NULL;
		return failure_set_error(&process->failure, CODE_SET_UP, -pid, "cannot fork");
	}
	process->pid = pid;
	return 0;
}

int process_start(struct process *process, enum process_kind kind, const struct wire_process *what,
		  bool with_stdin)
{
	struct child_ends ends __attribute__((cleanup(child_ends_close))) = {-1, -1, -1, -1};

	process_init(process);
	process->state = PROCESS_FAILED;
	process->kind = kind;
	process->tty = what->tty != 0;
	if (open_ends(process, &ends, with_stdin) < 0) {
		failure_set_errno(&process->failure, CODE_SET_UP, "cannot open %s",
				  process->tty ? "a terminal" : "pipes");
		process_done(process);
		return -1;
	}
	if (process->tty)
		process_resize(process, what->rows, what->columns);
	if (start_child(process, &ends, what) < 0) {
		process_done(process);
		return -1;
	}
	hold_outputs(process, &ends);
	/* A session is not waiting for the exec: what became of it is known at the end. */
	process->state = kind == PROCESS_WORKLOAD ? PROCESS_STARTING : PROCESS_RUNNING;
	return 0;
}

/* A child that executes nothing; its memory is a copy of ours. */
static int start_copy(struct process *process, const struct copy_job *job, bool with_stdin)
{
	struct child_ends ends __attribute__((cleanup(child_ends_close))) = {-1, -1, -1, -1};
	pid_t pid;

	if (open_ends(process, &ends, with_stdin) < 0)
		return failure_set_errno(&process->failure, CODE_SET_UP, "cannot open pipes");
	process->oom_kills_before = platform_oom_kills(process->kind);
	process->forked_ns = process->executed_ns = clock_now_ns();
	pid = platform_fork(process->kind);
	if (pid == 0)
		copy_child(job, (int[]){ends.in, ends.out, ends.err});
	if (pid < 0)
		return failure_set_error(&process->failure, CODE_SET_UP, -pid, "cannot fork");
	process->pid = pid;
	hold_outputs(process, &ends);
	process->state = PROCESS_RUNNING;
	return 0;
}

int process_open(struct process *process, const struct wire_open *open, bool with_stdin)
{
	const struct copy_job job = {
		.kind = open->kind,
		.path = open->path,
		.entry_only = open->entry_only != 0,
	};
	int r;

	if (open->kind == WIRE_KIND_EXEC)
		return process_start(process, PROCESS_SESSION, &open->process, with_stdin);
	process_init(process);
	process->state = PROCESS_FAILED;
	process->kind = PROCESS_SESSION;
	if (open->kind == WIRE_KIND_PUT || open->kind == WIRE_KIND_GET)
		r = start_copy(process, &job, with_stdin);
	else
		r = failure_set(&process->failure, CODE_SET_UP,
				"this guest does not know sessions of kind %u", open->kind);
	if (r < 0)
		process_done(process);
	return r;
}

static void take_failure(struct process *process)
{
	const struct failure *failure;

	if (process->room == NULL)
		return;
	failure = exec_room_failure(process->room);
	if (failure->code == 0)
		return;
	process->failure = *failure;
	process->state = PROCESS_FAILED;
}

void process_read_status(struct process *process)
{
	char nothing;

	if (process->state != PROCESS_STARTING)
		return;
	/* The pipe is close-on-exec, and nobody writes: its end is the exec, or that of the child. */
	if (read(process->status_fd, &nothing, 1) < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	process->executed_ns = clock_now_ns();
	process->state = PROCESS_RUNNING;
	take_failure(process);
	fd_close(&process->status_fd);
}

void process_signal(const struct process *process, uint32_t number)
{
	if (process->pid == 0 || number == 0 || number > WIRE_SIGNAL_MAX)
		return;
	/* Between fork and setsid there is no such group yet. */
	if (kill(-process->pid, (int)number) < 0 && errno == ESRCH)
		kill(process->pid, (int)number);
}

bool process_reap(struct process *process, pid_t pid, int status)
{
	if (process->pid == 0 || process->pid != pid)
		return false;
	process_read_status(process);
	let_outputs_go(process);
	process->pid = 0;
	take_failure(process);
	exec_room_give_back(process->room);
	process->room = NULL;
	if (process->state == PROCESS_FAILED)
		return true;
	process->state = PROCESS_ENDED;
	if (WIFSIGNALED(status)) {
		process->exited.signal = (uint32_t)WTERMSIG(status);
		process->exited.code = CODE_SIGNAL_BASE + process->exited.signal;
	} else {
		process->exited.code = (uint32_t)WEXITSTATUS(status);
	}
	process->exited.oom_killed = process->exited.code == CODE_SIGNAL_BASE + SIGKILL &&
				     platform_oom_kills(process->kind) > process->oom_kills_before;
	return true;
}

void process_resize(const struct process *process, uint32_t rows, uint32_t columns)
{
	struct winsize size = {
		.ws_row = (unsigned short)MIN(rows, UINT16_MAX),
		.ws_col = (unsigned short)MIN(columns, UINT16_MAX),
	};

	if (process->tty && process->out_fd >= 0 && rows > 0 && columns > 0)
		(void)ioctl(process->out_fd, TIOCSWINSZ, &size);
}

void process_done(struct process *process)
{
	fd_close(&process->status_fd);
	fd_close(&process->in_fd);
	fd_close(&process->out_fd);
	fd_close(&process->err_fd);
	let_outputs_go(process);
}
