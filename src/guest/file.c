/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "wire/limits.h"

ssize_t file_read(const char *path, char *ret_text, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t length = 0;

	if (fd < 0)
		return -errno;
	while (length < size - 1) {
		ssize_t n = read(fd, ret_text + length, size - 1 - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	ret_text[length] = '\0';
	return (ssize_t)length;
}

int file_read_line(const char *path, char *ret_line, size_t size)
{
	ssize_t n = file_read(path, ret_line, size);

	if (n < 0)
		return (int)n;
	ret_line[strcspn(ret_line, "\n")] = '\0';
	return 0;
}

int file_write(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	size_t length = strlen(text);

	if (fd < 0)
		return -errno;
	return write(fd, text, length) == (ssize_t)length ? 0 : -errno;
}

int file_make_directories(const char *path, mode_t mode)
{
	char partial[LIMIT_PATH_BYTES + 1];
	size_t length = strlen(path);

	if (length > LIMIT_PATH_BYTES)
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= length; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(partial, path, i);
		partial[i] = '\0';
		if (mkdir(partial, mode) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}
