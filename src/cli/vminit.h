/* SPDX-License-Identifier: Apache-2.0 */
/* krun-run --init: is that file what a guest could boot? */
#ifndef CLI_VMINIT_H
#define CLI_VMINIT_H

#include "base/err.h"

/* A Linux program, 64 bit, x86_64 or arm64, that needs no loader. The sentence says what it is not. */
int vminit_check(const char *path, struct err *err) _must_check_;

#endif
