/* SPDX-License-Identifier: Apache-2.0 */
#include "disk_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

/* A VM process that was just killed, with its supervisor, may still be dying. */
#define WAIT_MS  2000
#define RETRY_MS 10

static int lock_fd(int fd, bool shared)
{
	int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;

	while (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
		if (errno != EINTR && (errno != EWOULDBLOCK || clock_left_ms(deadline_ms) == 0))
			return -errno;
		(void)poll(NULL, 0, RETRY_MS);
	}
	return 0;
}

/* The descriptor is meant to stay open, beyond exec too. */
static int lock(const struct machine_volume *volume, struct err *err)
{
	_cleanup_fd_ int fd = open(volume->host_path, volume->read_only ? O_RDONLY : O_RDWR);
	int r;

	if (fd < 0)
		return err_set_errno(err, errno, "volume %s: '%s'", volume->volume,
				     volume->host_path);
	r = lock_fd(fd, volume->read_only);
	if (r == -EWOULDBLOCK)
		return err_set(err, EBUSY,
			       "volume %s is in use by another machine: stop that one first",
			       volume->volume);
	if (r < 0)
		return err_set_errno(err, -r, "volume %s cannot be locked", volume->volume);
	(void)take_fd(fd);
	return 0;
}

int disk_lock_all(const struct plan *plan, struct err *err)
{
	const struct machine_volumes *volumes = &plan->config->volumes;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < volumes->count; i++) {
		if (volumes->items[i].volume != NULL)
			r = lock(&volumes->items[i], err);
	}
	return r;
}
