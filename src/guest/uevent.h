/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for devices. The kernel announces them by and by, and PID 1 may be earlier: it looks, waits
 * for the kernel to announce anything, and looks again.
 */
#ifndef GUEST_UEVENT_H
#define GUEST_UEVENT_H

#include <stdbool.h>
#include <stdint.h>

/* True as soon as `found(arg)` is; false when the time is over. With no time it is asked once. */
bool uevent_wait(bool (*found)(void *arg), void *arg, uint64_t timeout_ns);

/* The same for the existence of a file. */
bool uevent_wait_path(const char *path, uint64_t timeout_ns);

#endif
