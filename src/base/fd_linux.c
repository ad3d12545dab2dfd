/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "fd.h"

int fd_peer_uid(int fd, uid_t *ret_uid)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return -errno;
	*ret_uid = peer.uid;
	return 0;
}

/* Kernels before 5.11 have no CLOSE_RANGE_CLOEXEC: there /proc lists what is open. */
static int set_cloexec_by_listing(int lowest)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int r = 0;

	if (dir == NULL)
		return -errno;
	while (r >= 0 && (entry = readdir(dir)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd >= lowest && fd != dirfd(dir))
			r = fd_set_cloexec(fd, true);
	}
	closedir(dir);
	return r;
}

int fd_set_cloexec_from(int lowest)
{
	/* The value of CLOSE_RANGE_CLOEXEC; older headers lack it. */
	enum { CLOEXEC_FLAG = 1U << 2 };

	if (syscall(SYS_close_range, (unsigned)lowest, UINT_MAX, CLOEXEC_FLAG) == 0)
		return 0;
	return set_cloexec_by_listing(lowest);
}
