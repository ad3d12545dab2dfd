/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where krun-api keeps a user's state and sockets when nothing else is said, and where the commands
 * of the same user look for them. Platform parts: dirs_linux.c, dirs_darwin.c.
 */
#ifndef BASE_DIRS_H
#define BASE_DIRS_H

#include "macro.h"

/* Directory of sockets and directory of state, on the heap; they need not exist. */
char *dirs_socket(void) _must_check_;
char *dirs_state(void) _must_check_;

/* The state directory of one who is not root. */
char *dirs_state_of_user(void) _must_check_;

#endif
