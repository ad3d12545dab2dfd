/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last lines of what a process or a kernel console printed, kept for the sentence that says why
 * a machine failed. Costs TAIL_BYTES and no more, whatever is printed.
 */
#ifndef VMM_TAIL_H
#define VMM_TAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define TAIL_BYTES 1024

struct tail {
	char data[TAIL_BYTES]; /* the newest bytes, in order */
	size_t length;
};

void tail_add(struct tail *tail, const char *data, size_t length);

/*
 * Appends the last `lines` lines that are not empty to `out`, oldest first, with " | " between them
 * and control bytes left out. Appends nothing when there are none. True when something was appended.
 */
bool tail_write(const struct tail *tail, unsigned lines, struct buf *out);

bool tail_contains(const struct tail *tail, const char *text);

#endif
