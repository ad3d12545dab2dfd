/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include "fd.h"

int fd_peer_uid(int fd, uid_t *ret_uid)
{
	gid_t gid;

	return getpeereid(fd, ret_uid, &gid) < 0 ? -errno : 0;
}

int fd_set_cloexec_from(int lowest)
{
	for (int fd = lowest; fd < getdtablesize(); fd++) {
		int r = fd_set_cloexec(fd, true);

		if (r < 0 && r != -EBADF)
			return r;
	}
	return 0;
}
