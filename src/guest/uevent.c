/* SPDX-License-Identifier: Apache-2.0 */
#include "uevent.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"

#define KERNEL_GROUP 1
#define RETRY_MS     5 /* without a socket, or for what is not announced */

static int open_socket(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fd_close(&fd);
	return fd;
}

static void drain(int fd)
{
	char event[4096];

	while (fd >= 0 && recv(fd, event, sizeof(event), 0) > 0)
		;
}

bool uevent_wait(bool (*found)(void *arg), void *arg, uint64_t timeout_ns)
{
	uint64_t deadline = clock_now_ns() + timeout_ns;
	_cleanup_fd_ int fd = -1;

	if (found(arg))
		return true;
	if (timeout_ns == 0)
		return false;
	/* Listening comes before looking, so that nothing happens unseen in between. */
	fd = open_socket();
	while (!found(arg)) {
		struct pollfd item = {.fd = fd, .events = POLLIN};

		if (clock_now_ns() >= deadline)
			return false;
		poll(&item, 1, MIN(RETRY_MS, clock_left_ms(deadline)));
		drain(fd);
	}
	return true;
}

static bool exists(void *path)
{
	return access(path, F_OK) == 0;
}

bool uevent_wait_path(const char *path, uint64_t timeout_ns)
{
	return uevent_wait(exists, (void *)path, timeout_ns);
}
