/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a sandbox that is the same for every program: sandbox_linux.c, sandbox_darwin.c. */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include "macro.h"

/*
 * From here on this thread and what comes of it open no file at all, by Landlock; what is open stays
 * open. PR_SET_NO_NEW_PRIVS must be set. -ENOSYS where there is no Landlock, or it is switched off.
 */
int sandbox_close_files(void) _must_check_;

#endif
