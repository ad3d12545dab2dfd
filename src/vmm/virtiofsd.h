/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories of the host in a QEMU guest: one virtiofsd for each, started by the VM process before
 * it becomes QEMU, whose child it then is and with which it ends. There are two programs of that
 * name: QEMU's own, which came with it until 8.0 and needs root, and the one written in Rust.
 *
 * Linux only; elsewhere every call says so (virtiofsd_darwin.c).
 */
#ifndef VMM_VIRTIOFSD_H
#define VMM_VIRTIOFSD_H

#include "plan.h"

/*
 * Is there one that can serve these shares for this user? -EINVAL and a sentence with the way out.
 * Nothing to do, and 0, without shares.
 */
int virtiofsd_check(const struct plan *plan, struct err *err) _must_check_;

/* Starts one for each share; `ret_fds` are QEMU's connections to them, inherited by an exec. */
int virtiofsd_start(const struct plan *plan, int first_fd, struct err *err) _must_check_;

/* Takes away what they leave in the directory of sockets. */
void virtiofsd_clean(const struct plan *plan);

#endif
