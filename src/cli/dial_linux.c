/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/socket.h>

#include "dial.h"

int dial_prepare(int fd)
{
	return 0;
}

ssize_t dial_send(int fd, const void *data, size_t length)
{
	ssize_t n = send(fd, data, length, MSG_NOSIGNAL);

	return n < 0 ? -errno : n;
}
