/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a guest ends. Always by RB_AUTOBOOT: RB_POWER_OFF leaves libkrun's VM process on x86_64 and
 * QEMU's microvm running for ever. Under libkrun an ioctl on a virtiofs descriptor sets the exit code
 * of the VM process; the boot root is one.
 */
#ifndef GUEST_POWER_H
#define GUEST_POWER_H

#include <stdint.h>

/* While "/" is still the file system that the kernel has started us from. */
void power_begin(void);

/* Everything to the disks, and the end. */
void power_end(uint32_t code) __attribute__((noreturn));

#endif
