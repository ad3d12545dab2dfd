/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One control group for the workload, one for all sessions, below the root of cgroup2: they tell who
 * was killed for want of memory. They limit nothing: the machine is the limit.
 */
#ifndef GUEST_CGROUP_H
#define GUEST_CGROUP_H

#include "platform.h"

/* When cgroup2 is mounted. 0 or -errno: then the rest does nothing. */
int cgroup_set_up(void);

/* The directory of a group, for a child that begins in it. */
int cgroup_fd(enum process_kind kind);

uint64_t cgroup_oom_kills(enum process_kind kind);

#endif
