/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A named volume belongs to one machine at a time: two kernels that write one ext4 file system destroy
 * it. The VM process holds a lock on the volume's file for as long as it lives, whatever it becomes by
 * exec, so that no other machine gets at it, and a killed one leaves nothing to be cleared away.
 * Machines that only read share the lock.
 */
#ifndef VMM_DISK_LOCK_H
#define VMM_DISK_LOCK_H

#include "plan.h"

/* Locks those of the plan's disks that are named volumes. -EBUSY and a sentence. */
int disk_lock_all(const struct plan *plan, struct err *err) _must_check_;

#endif
