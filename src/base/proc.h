/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes. A process is known by its pid and its start time together, never by its pid alone:
 * the kernel gives a pid to somebody else as soon as its owner is reaped.
 *
 * Platform parts: proc_linux.c, proc_darwin.c.
 */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "macro.h"

struct proc_id {
	pid_t pid; /* 0: no process */
	uint64_t
		start_time; /* opaque, only compared: ticks since boot (Linux), microseconds (macOS) */
};

/* Who `pid` is now. -ESRCH when there is no such process or only its zombie. */
int proc_identify(pid_t pid, struct proc_id *ret_id) _must_check_;

/* True while that very process runs; a zombie does not run. */
bool proc_is_running(const struct proc_id *id);

/* Sends the signal only to that very process. -ESRCH when it is gone. */
int proc_kill(const struct proc_id *id, int sig);

/*
 * Asks the kernel to send SIGKILL to this process when its parent dies, and checks that the parent
 * is still `parent`. 0 where the platform cannot (macOS): a pipe to the parent does that there.
 * -ESRCH when the parent is gone already.
 */
int proc_die_with_parent(pid_t parent) _must_check_;

/* Absolute path of the running program's file, on the heap. */
int proc_self_path(char **ret_path) _must_check_;

/* Physical memory and processors that a machine could use here. */
uint64_t proc_host_memory_mib(void);
unsigned proc_host_cpus(void);

/* Raises the soft limit of open files to the hard one, at most to `wanted`. */
int proc_raise_open_files(uint64_t wanted);

#endif
