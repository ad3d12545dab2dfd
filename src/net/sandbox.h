/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process gives up once everything is open: files (all of them), starting programs, every
 * system call that the loop and libslirp do not make. sandbox_linux.c: seccomp and Landlock;
 * sandbox_darwin.c: a sandbox profile.
 */
#ifndef NET_SANDBOX_H
#define NET_SANDBOX_H

#include "base/err.h"

/*
 * 0: all of it is given up. -ENOSYS: this kernel cannot do a part of it, which is named; the rest is
 * given up. Other errors: the process must not go on.
 */
int sandbox_enter(struct err *err) _must_check_;

#endif
