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

#include "failure.h"
#include "wire/message.h"

/* /dev and /sys on the boot root, for finding the host. What fails shows when it is missed. */
void mounts_begin(void);

/* The machine's root in place of the boot root, with the kernel's file systems on it. */
int mounts_set_up_root(const struct wire_config *config, struct failure *failure);

/* Shared directories, after the root. */
int mounts_set_up_volumes(const struct wire_config *config, struct failure *failure);

/* Leaves the machine's disk as after a clean unmount. Nothing may be written afterwards. */
void mounts_end(void);

#endif
