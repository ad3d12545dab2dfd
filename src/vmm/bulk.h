/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The payload of large frames from one socket to another past our memory, where the system can. Their heads
 * are read, and written as they were read: whoever sent them may be able to write to what lies in a socket.
 * Platform parts: bulk_linux.c, bulk_darwin.c (all frames are copied there).
 */
#ifndef VMM_BULK_H
#define VMM_BULK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/frame.h"

/* Smaller frames are copied sooner than moved. */
#define BULK_BYTES_MIN (32 * KIB)

/* Bytes that lie in the socket. 0 where the system cannot move them. */
size_t bulk_waiting(int fd);

/*
 * Sends a frame to the non-blocking socket `to`: the head from here, and as payload the `length` bytes that are
 * known to lie in the socket `from`. What is not taken is appended to `ret_rest`. 0, or a negative errno: `from`
 * is of no use any more.
 */
int bulk_move(int from, int to, const uint8_t head[WIRE_HEAD_BYTES], size_t length,
	      struct buf *ret_rest) _must_check_;

#endif
