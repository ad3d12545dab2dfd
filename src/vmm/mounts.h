/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that only this process and its children see: mounts_linux.c; mounts_darwin.c has none.
 * Functions return a negative errno.
 */
#ifndef VMM_MOUNTS_H
#define VMM_MOUNTS_H

#include <stdbool.h>

#include "base/err.h"

/*
 * Leaves the mount namespace of the others: what is mounted from here on they do not see. An ordinary
 * user gets a user namespace for it, with that user and group and no other, and no capability outside
 * of it. To be called by a process with one thread.
 */
int mount_isolate(void) _must_check_;

/* Binds a file or directory, with what is mounted below it, over another one that exists. */
int mount_bind(const char *from, const char *to, bool read_only) _must_check_;

/* Gives up what an ordinary user may do in the user namespace. */
int mount_seal(void) _must_check_;

#endif
