/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the krun-api of this user keeps its things when it is told nothing else; the same rules
 * as krun-api's own (src/api/places.h). Platform parts: dirs_linux.c, dirs_darwin.c.
 */
#ifndef CLI_DIRS_H
#define CLI_DIRS_H

#include "base/macro.h"

/* Directory of sockets and directory of state, on the heap; they need not exist. */
char *dirs_socket(void) _must_check_;
char *dirs_state(void) _must_check_;

/* The state directory of one who is not root. */
char *dirs_state_of_user(void) _must_check_;

#endif
