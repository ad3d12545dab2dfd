/* SPDX-License-Identifier: Apache-2.0 */
/* The one process that the machine is for, and what it prints: OUTPUT frames on control. */
#ifndef GUEST_WORKLOAD_H
#define GUEST_WORKLOAD_H

#include "channel.h"
#include "loop.h"
#include "process.h"

/* Before anything else; output goes into `control`, and nowhere once that has ended. */
void workload_init(struct channel *control);

/* As process_start(): failures are found in workload_process(). */
void workload_start(const struct wire_process *what);

const struct process *workload_process(void);
void workload_signal(uint32_t number);
bool workload_reap(pid_t pid, int status);
void workload_watch(struct loop *loop);

/* All that it printed is queued: both ends of file were seen. */
bool workload_is_drained(void);

#endif
