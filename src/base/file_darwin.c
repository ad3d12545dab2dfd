/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/clonefile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"

static int copy_sparse_to(const char *from, const char *to, mode_t mode)
{
	_cleanup_fd_ int from_fd = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int to_fd = -1;
	int r;

	if (from_fd < 0)
		return -errno;
	to_fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (to_fd < 0)
		return -errno;
	r = file_copy_sparse(from_fd, to_fd);
	if (r < 0)
		unlink(to);
	return r;
}

int file_clone(const char *from, const char *to, mode_t mode)
{
	if (clonefile(from, to, CLONE_NOFOLLOW) < 0) {
		if (errno != ENOTSUP && errno != EXDEV)
			return -errno;
		return copy_sparse_to(from, to, mode);
	}
	if (chmod(to, mode) < 0) {
		int r = -errno;

		unlink(to);
		return r;
	}
	return 0;
}
