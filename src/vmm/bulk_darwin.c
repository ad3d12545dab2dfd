/* SPDX-License-Identifier: Apache-2.0 */
#include "bulk.h"

#include <errno.h>

bool bulk_peek(int fd, struct wire_frame *ret_frame)
{
	return false;
}

int bulk_move(int from, int to, size_t length, struct buf *ret_rest)
{
	return -ENOTSUP;
}
