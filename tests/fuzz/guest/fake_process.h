/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.c without processes: pipes whose other ends the fuzz target holds. It is "executed" at the
 * first look at its status, and ends when the target says so.
 */
#ifndef FUZZ_GUEST_FAKE_PROCESS_H
#define FUZZ_GUEST_FAKE_PROCESS_H

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "process.h"

#define FAKE_PID 1000000000 /* above what the kernel gives out */

static int process_stdin_fd = -1, process_stdout_fd = -1, process_stderr_fd = -1;

void process_init(struct process *process)
{
	memset(process, 0, sizeof(*process));
	process->status_fd = process->in_fd = process->out_fd = process->err_fd = -1;
}

/* PID 1 has it blocked. */
__attribute__((constructor)) static void ignore_broken_pipes(void)
{
	signal(SIGPIPE, SIG_IGN);
}

static void open_pair(int *reader, int *writer)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		abort();
	*reader = fds[0];
	*writer = fds[1];
}

int process_start(struct process *process, enum process_kind kind, const struct wire_process *what,
		  bool with_stdin)
{
	process_init(process);
	process->kind = kind;
	process->tty = what->tty != 0;
	/* Read them all: they must lie within the frame. */
	for (size_t i = 0; what->argv[i] != NULL; i++)
		process->forked_ns += strlen(what->argv[i]);
	for (size_t i = 0; what->env[i] != NULL; i++)
		process->forked_ns += strlen(what->env[i]);
	if (what->rows % 7 == 6) {
		process->state = PROCESS_FAILED;
		return failure_set(&process->failure, CODE_SET_UP, "as asked");
	}
	open_pair(&process_stdin_fd, &process->in_fd);
	open_pair(&process->out_fd, &process_stdout_fd);
	if (!process->tty)
		open_pair(&process->err_fd, &process_stderr_fd);
	if (!with_stdin)
		fd_close(&process->in_fd);
	process->status_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	process->pid = FAKE_PID;
	process->state = PROCESS_STARTING;
	return 0;
}

int process_open(struct process *process, const struct wire_open *open, bool with_stdin)
{
	return process_start(process, PROCESS_SESSION, &open->process, with_stdin);
}

void process_read_status(struct process *process)
{
	if (process->state == PROCESS_STARTING)
		process->state = PROCESS_RUNNING;
	fd_close(&process->status_fd);
}

void process_signal(const struct process *process, uint32_t number)
{
	(void)process;
	(void)number;
}

bool process_reap(struct process *process, pid_t pid, int status)
{
	if (process->pid == 0 || process->pid != pid)
		return false;
	process_read_status(process);
	process->pid = 0;
	process->state = PROCESS_ENDED;
	process->exited.code = (uint32_t)status;
	return true;
}

void process_resize(const struct process *process, uint32_t rows, uint32_t columns)
{
	(void)process;
	(void)rows;
	(void)columns;
}

void process_done(struct process *process)
{
	fd_close(&process->status_fd);
	fd_close(&process->in_fd);
	fd_close(&process->out_fd);
	fd_close(&process->err_fd);
}

static void close_fake_process(void)
{
	fd_close(&process_stdin_fd);
	fd_close(&process_stdout_fd);
	fd_close(&process_stderr_fd);
}

#endif
