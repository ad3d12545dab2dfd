/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

#include "fd.h"

int fd_peer_uid(int fd, uid_t *ret_uid)
{
	gid_t gid;

	return getpeereid(fd, ret_uid, &gid) < 0 ? -errno : 0;
}
