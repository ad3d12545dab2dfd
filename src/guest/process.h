/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process of the host's choosing: the workload or a session's.
 *
 * Life cycle: process_start() begins a child (exec.h). The workload's state is STARTING until the end of
 * the status pipe says that there was an exec, for which READY waits; a session's is RUNNING at once.
 * process_reap() makes it ENDED, or FAILED with the code and the sentence of a child that could not
 * execute; the workload's may be FAILED before. process_done() closes what is open, at any time; it does
 * not kill.
 *
 * It leads a session and a process group of its own, to which signals go. Its standard descriptors are
 * pipes, or a terminal: then in_fd and out_fd are both the terminal's master and err_fd is -1. A session's
 * output pipes have no end of file before the process is reaped: what ends a session is its exit, and an
 * end of file just before it would only wake PID 1 once more.
 */
#ifndef GUEST_PROCESS_H
#define GUEST_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "platform.h"
#include "wire/signal.h"

enum process_state {
	PROCESS_NONE,
	PROCESS_STARTING,
	PROCESS_RUNNING,
	PROCESS_FAILED,
	PROCESS_ENDED,
};

struct exec_room;

struct process {
	enum process_state state;
	enum process_kind kind;
	bool tty;
	pid_t pid;                 /* 0 once it is reaped */
	struct exec_room *room;    /* until then */
	int status_fd;             /* -1: none */
	int in_fd, out_fd, err_fd; /* ours, non-blocking */
	int held_fds[2];           /* a session's: the process's ends of the outputs */
	uint64_t oom_kills_before;
	uint64_t forked_ns, executed_ns;
	struct failure failure;    /* FAILED */
	struct wire_exited exited; /* ENDED */
};

void process_init(struct process *process);

/*
 * `what` is used before this returns and not afterwards. Without `with_stdin` standard input is
 * /dev/null (a terminal always has both ways). 0, or -1 with the sentence in process->failure.
 */
int process_start(struct process *process, enum process_kind kind, const struct wire_process *what,
		  bool with_stdin);

/*
 * What a session's OPEN asks for: a process with standard input if `with_stdin`, or a copy (copy.h),
 * which is RUNNING at once and never FAILED. As process_start().
 */
int process_open(struct process *process, const struct wire_open *open, bool with_stdin);

/* Reads the status pipe, when poll said so. */
void process_read_status(struct process *process);

/* To its process group; nothing when it is gone. `number` is Linux's. */
void process_signal(const struct process *process, uint32_t number);

/* True when `pid` is this one: its status is then in `exited`. */
bool process_reap(struct process *process, pid_t pid, int status);

void process_resize(const struct process *process, uint32_t rows, uint32_t columns);
void process_done(struct process *process);

#endif
