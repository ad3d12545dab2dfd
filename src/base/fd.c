/* SPDX-License-Identifier: Apache-2.0 */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "clock.h"

#define LISTEN_BACKLOG  64
#define READ_STEP_BYTES 65536

int fd_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

static int set_flag(int fd, int get, int set, int flag, bool on)
{
	int flags = fcntl(fd, get);

	if (flags < 0)
		return -errno;
	flags = on ? flags | flag : flags & ~flag;
	return fcntl(fd, set, flags) < 0 ? -errno : 0;
}

int fd_set_cloexec(int fd, bool on)
{
	return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int fd_set_nonblock(int fd, bool on)
{
	return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

/* Closes both and returns the error where one of the two could not be made close-on-exec. */
static int finish_pair(const int fds[2], int ret_fds[2])
{
	for (int i = 0; i < 2; i++) {
		int r = fd_set_cloexec(fds[i], true);

		if (r < 0) {
			fd_close(fds[0]);
			fd_close(fds[1]);
			return r;
		}
	}
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}

int fd_pipe(int ret_fds[2])
{
	int fds[2];

	if (pipe(fds) < 0)
		return -errno;
	return finish_pair(fds, ret_fds);
}

int fd_socketpair(int ret_fds[2])
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return -errno;
	return finish_pair(fds, ret_fds);
}

int fd_write_all(int fd, const void *data, size_t length)
{
	return fd_write_all_until(fd, data, length, INT64_MAX);
}

int fd_write_all_until(int fd, const void *data, size_t length, int64_t deadline_ms)
{
	const char *p = data;

	while (length > 0) {
		ssize_t n = write(fd, p, length);

		if (n >= 0) {
			p += n;
			length -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return -errno;

		struct pollfd pfd = {.fd = fd, .events = POLLOUT};
		int left_ms = deadline_ms == INT64_MAX ? -1 : clock_left_ms(deadline_ms);

		if (left_ms == 0)
			return -ETIMEDOUT;
		if (poll(&pfd, 1, left_ms) < 0 && errno != EINTR)
			return -errno;
	}
	return 0;
}

int fd_read_to_end(int fd, struct buf *buf)
{
	char step[READ_STEP_BYTES];

	for (;;) {
		ssize_t n = read(fd, step, sizeof(step));

		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (buf_append(buf, step, (size_t)n) < 0)
			return -EFBIG;
	}
}

static int unix_address(const char *path, struct sockaddr_un *ret_address)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= MIN(sizeof(address.sun_path), (size_t)FD_UNIX_PATH_BYTES_MAX))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	*ret_address = address;
	return 0;
}

static int unix_socket(int *ret_fd)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_set_cloexec(fd, true);
	if (r < 0)
		return r;
	*ret_fd = take_fd(fd);
	return 0;
}

int fd_unix_connect(const char *path, int *ret_fd)
{
	struct sockaddr_un address;
	_cleanup_fd_ int fd = -1;
	int r;

	r = unix_address(path, &address);
	if (r < 0)
		return r;
	r = unix_socket(&fd);
	if (r < 0)
		return r;
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	*ret_fd = take_fd(fd);
	return 0;
}

/* Takes a socket file away that nobody serves any more; anything else there stays. */
static int remove_stale_socket(const char *path)
{
	_cleanup_fd_ int probe = -1;
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	r = fd_unix_connect(path, &probe);
	if (r >= 0)
		return -EADDRINUSE;
	if (r != -ECONNREFUSED)
		return r;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int fd_unix_listen(const char *path, unsigned mode, int *ret_fd)
{
	struct sockaddr_un address;
	_cleanup_fd_ int fd = -1;
	mode_t mask;
	int r;

	r = unix_address(path, &address);
	if (r < 0)
		return r;
	r = remove_stale_socket(path);
	if (r < 0)
		return r;
	r = unix_socket(&fd);
	if (r < 0)
		return r;
	/* The file must never exist with a wider mode, not even before chmod. */
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return r;
	if (chmod(path, (mode_t)mode) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
		r = -errno;
		unlink(path);
		return r;
	}
	*ret_fd = take_fd(fd);
	return 0;
}

int fd_accept(int listen_fd, int *ret_fd)
{
	_cleanup_fd_ int fd = -1;
	int r;

	do {
		fd = accept(listen_fd, NULL, NULL);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		return -errno;
	r = fd_set_cloexec(fd, true);
	if (r >= 0)
		r = fd_set_nonblock(fd, true);
	if (r < 0)
		return r;
	*ret_fd = take_fd(fd);
	return 0;
}
