/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"

int file_clone(const char *from, const char *to, mode_t mode)
{
	_cleanup_fd_ int from_fd = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int to_fd = -1;
	int r = 0;

	if (from_fd < 0)
		return -errno;
	to_fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (to_fd < 0)
		return -errno;
	/* Not every file system shares blocks, and none does so with another file system. */
	if (ioctl(to_fd, FICLONE, from_fd) < 0)
		r = file_copy_sparse(from_fd, to_fd);
	if (r < 0)
		unlink(to);
	return r;
}
