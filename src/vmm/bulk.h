/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large frames from one socket to another past our memory, where the system can. Platform parts:
 * bulk_linux.c, bulk_darwin.c (nothing can be told there, so all frames are copied).
 */
#ifndef VMM_BULK_H
#define VMM_BULK_H

#include <stdbool.h>

#include "base/buf.h"
#include "wire/frame.h"

/* Smaller frames are copied sooner than moved. */
#define BULK_BYTES_MIN (32 * KIB)

/*
 * Whether all of a frame that is worth moving lies at the front of the socket; nothing is taken from it.
 * `ret_frame` has no payload then.
 */
bool bulk_peek(int fd, struct wire_frame *ret_frame);

/*
 * Moves the `length` bytes that are known to lie in the socket `from` to the non-blocking socket `to`.
 * What that does not take is appended to `ret_rest`. 0, or a negative errno: `from` is of no use any more.
 */
int bulk_move(int from, int to, size_t length, struct buf *ret_rest) _must_check_;

#endif
