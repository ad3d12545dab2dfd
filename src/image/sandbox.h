/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks the process in before it looks at an archive: what it has open stays open; no file can be
 * opened, no program run, no process or socket made. Platform parts: sandbox_linux.c,
 * sandbox_darwin.c.
 */
#ifndef IMAGE_SANDBOX_H
#define IMAGE_SANDBOX_H

#include "fault.h"

/* From here on there is no way back. */
int sandbox_enter(struct fault *fault) _must_check_;

#endif
