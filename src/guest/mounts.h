/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File systems of a guest.
 *
 * The kernel starts PID 1 on a boot root that holds nothing but vminit and mount points: a read-only
 * ext4 under QEMU, a virtual directory under libkrun. The machine's own root is mounted beside it and
 * takes its place; the boot root is then detached and no path leads to it.
 */
#ifndef GUEST_MOUNTS_H
#define GUEST_MOUNTS_H

#include "clock.h"
#include "failure.h"
#include "wire/message.h"

#define MOUNTS_DISK_TIMEOUT_NS (2 * NS_PER_S) /* for a disk to be found */

/* /dev and /sys on the boot root, for finding the host. What fails shows when it is missed. */
void mounts_begin(void);

/* The machine's root in place of the boot root, with the kernel's file systems on it. */
int mounts_set_up_root(const struct wire_config *config, struct failure *failure);

/* Leaves the machine's disk, and those of volumes, as after a clean unmount. Nothing may be written
 * afterwards. */
void mounts_end(void);

/* The same for one ext4 file system, by any of its directories. */
void mounts_freeze(int fd);

#endif
