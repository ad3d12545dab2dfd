/* SPDX-License-Identifier: Apache-2.0 */
#include "bulk.h"

#include <errno.h>

size_t bulk_waiting(int fd)
{
	return 0;
}

int bulk_move(int from, int to, const uint8_t head[WIRE_HEAD_BYTES], size_t length,
	      struct buf *ret_rest)
{
	return -ENOTSUP;
}
