/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration on standard input, bounded in size and in time. */
#ifndef VMM_STDIN_H
#define VMM_STDIN_H

#include "base/buf.h"
#include "base/err.h"
#include "machine/vmm_config.h"

/*
 * Reads standard input to its end, puts /dev/null in its place and parses what came. `text` gets the
 * text itself; it must be empty and is initialised here.
 */
int stdin_read_config(struct vmm_config *config, struct buf *text, struct err *err) _must_check_;

#endif
