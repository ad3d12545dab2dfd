/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/socket.h>

#include "dial.h"

int dial_prepare(int fd)
{
	int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on)) < 0 ? -errno : 0;
}

ssize_t dial_send(int fd, const void *data, size_t length)
{
	ssize_t n = send(fd, data, length, 0);

	return n < 0 ? -errno : n;
}
