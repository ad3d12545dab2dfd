/* SPDX-License-Identifier: Apache-2.0 */
#include "wall_clock.h"

#include <errno.h>

int wall_clock_make_fd(int *ret_fd)
{
	(void)ret_fd;
	return -ENOSYS;
}
