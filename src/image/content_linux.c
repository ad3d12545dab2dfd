/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "content.h"

void content_punch(int fd, uint64_t offset, uint64_t bytes)
{
	/* Only space is lost where this does not work. */
	(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			(off_t)bytes);
}
