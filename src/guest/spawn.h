/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children of PID 1, in a control group from their beginning: a process that is there already is moved
 * only when no other is just being forked, and to know that takes the kernel a grace period of 10 ms.
 * The C library knows of neither kind.
 *
 * spawn() begins one that is about to execute, without copying PID 1's page tables: it runs in PID 1's
 * memory, at the same time as PID 1, on a stack of its own. (With vfork() PID 1 would stand still until
 * the exec, and a file system that does not answer would hang the machine.) So `run` may write to its
 * stack and to what `argument` points to, which both stay untouched by others until the child is reaped,
 * and to nothing else; it makes system calls by raw.h, and ends by an exec or by exiting.
 */
#ifndef GUEST_SPAWN_H
#define GUEST_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

/* Both: `cgroup_fd` is the directory of the group, -1: that of PID 1. -errno. */
pid_t spawn(void (*run)(void *argument), void *argument, void *stack, size_t stack_bytes,
	    int cgroup_fd);

/* As fork(): the child's memory is a copy. It executes or exits. */
pid_t spawn_copy(int cgroup_fd);

#endif
