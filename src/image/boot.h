/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small read-only disk that QEMU boots from: `/vminit` and the mount points it needs. The same
 * vminit gives the same bytes.
 */
#ifndef IMAGE_BOOT_H
#define IMAGE_BOOT_H

#include "fault.h"

int boot_write(int vminit_fd, int output_fd, struct fault *fault) _must_check_;

#endif
