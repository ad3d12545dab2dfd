/* SPDX-License-Identifier: Apache-2.0 */
/* Where a user's state and sockets lie when nothing else is said. */
#ifndef API_PLACES_H
#define API_PLACES_H

#include "base/macro.h"

/* On the heap; not made yet. */
char *place_state_dir(void) _must_check_;
char *place_socket_dir(void) _must_check_;

/* places_linux.c, places_darwin.c: of a user who is not root. */
char *place_state_dir_of_user(void) _must_check_;

#endif
