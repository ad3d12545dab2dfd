/* SPDX-License-Identifier: Apache-2.0 */
/* macOS has no mounts of a single process, and binds nothing. */
#include "mounts.h"

#include <errno.h>

int mount_isolate(void)
{
	return -ENOTSUP;
}

int mount_bind(const char *from, const char *to, bool read_only)
{
	(void)from;
	(void)to;
	(void)read_only;
	return -ENOTSUP;
}

int mount_seal(void)
{
	return -ENOTSUP;
}
