/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/event.h>

#include "base/fd.h"
#include "watch.h"

/* A kqueue is readable while it has an event, so one can stand in another. */
int watch_open(pid_t pid, int *ret_fd)
{
	_cleanup_fd_ int fd = kqueue();
	struct kevent change;
	int r;

	if (fd < 0)
		return -errno;
	r = fd_set_cloexec(fd, true);
	if (r < 0)
		return r;
	EV_SET(&change, (uintptr_t)pid, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, NULL);
	if (kevent(fd, &change, 1, NULL, 0, NULL) < 0)
		return -errno;
	*ret_fd = take_fd(fd);
	return 0;
}
