/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "content.h"

void content_punch(int fd, uint64_t offset, uint64_t bytes)
{
	fpunchhole_t hole = {.fp_offset = (off_t)offset, .fp_length = (off_t)bytes};

	/* Only space is lost where this does not work. */
	(void)fcntl(fd, F_PUNCHHOLE, &hole);
}
