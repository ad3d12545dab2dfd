/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"

#define COPY_STEP_BYTES 65536
/* Deeper than any tree of ours; bounds the recursion over what others may have put there. */
#define REMOVE_DEPTH_MAX 256

int file_read(const char *path, struct buf *buf)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return fd_read_to_end(fd, buf);
}

int file_sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *directory = NULL;
	_cleanup_fd_ int fd = -1;

	if (slash == NULL)
		directory = mem_strdup(".");
	else if (slash == path)
		directory = mem_strdup("/");
	else
		directory = mem_printf("%.*s", (int)(slash - path), path);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

static int write_synced(const char *path, const void *data, size_t length, mode_t mode)
{
	_cleanup_fd_ int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, data, length);
	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

int file_write_atomic(const char *path, const void *data, size_t length, mode_t mode)
{
	_cleanup_free_ char *temporary = mem_printf("%s.%d.tmp", path, (int)getpid());
	int r;

	r = write_synced(temporary, data, length, mode);
	if (r >= 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		return r;
	}
	return file_sync_parent(path);
}

static int make_directory(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_mkdir_all(const char *path, mode_t mode)
{
	_cleanup_free_ char *copy = mem_strdup(path);

	for (char *p = copy + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		int r = make_directory(copy, mode);
		*p = '/';
		if (r < 0)
			return r;
	}
	return make_directory(copy, mode);
}

static int remove_at(int dir_fd, const char *name, int depth);

static int remove_entries(int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int first = 0;

	if (dir == NULL) {
		first = -errno;
		fd_close(fd);
		return first;
	}
	while ((entry = readdir(dir)) != NULL) {
		int r;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = remove_at(dirfd(dir), entry->d_name, depth + 1);
		if (r < 0 && first == 0)
			first = r;
	}
	closedir(dir);
	return first;
}

static int remove_at(int dir_fd, const char *name, int depth)
{
	int fd, first = 0;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	/* Linux says EISDIR for a directory, POSIX and macOS EPERM. */
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth > REMOVE_DEPTH_MAX)
		return -ELOOP;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	first = remove_entries(fd, depth);
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT && first == 0)
		first = -errno;
	return first;
}

int file_remove_tree(const char *path)
{
	return remove_at(AT_FDCWD, path, 0);
}

static int copy_range(int from_fd, int to_fd, off_t start, off_t end)
{
	char step[COPY_STEP_BYTES];

	if (lseek(from_fd, start, SEEK_SET) < 0 || lseek(to_fd, start, SEEK_SET) < 0)
		return -errno;
	while (start < end) {
		size_t want = (size_t)MIN((off_t)sizeof(step), end - start);
		ssize_t n = read(from_fd, step, want);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		r = fd_write_all(to_fd, step, (size_t)n);
		if (r < 0)
			return r;
		start += n;
	}
	return 0;
}

int file_copy_sparse(int from_fd, int to_fd)
{
	struct stat st;
	off_t position = 0;

	if (fstat(from_fd, &st) < 0)
		return -errno;
	if (ftruncate(to_fd, st.st_size) < 0)
		return -errno;
	while (position < st.st_size) {
		off_t start = lseek(from_fd, position, SEEK_DATA), end;
		int r;

		if (start < 0 && errno == ENXIO)
			return 0;
		if (start < 0)
			return -errno;
		end = lseek(from_fd, start, SEEK_HOLE);
		if (end < 0)
			return -errno;
		r = copy_range(from_fd, to_fd, start, end);
		if (r < 0)
			return r;
		position = end;
	}
	return 0;
}

int file_free_bytes(const char *path, uint64_t *ret_bytes)
{
	struct statvfs st;

	if (statvfs(path, &st) < 0)
		return -errno;
	*ret_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

char *path_join(const char *directory, const char *name)
{
	size_t length = strlen(directory);
	bool slash = length > 0 && directory[length - 1] == '/';

	return mem_printf("%s%s%s", directory, slash ? "" : "/", name);
}

int path_resolve(const char *path, char **ret_path)
{
	char *resolved = realpath(path, NULL);

	if (resolved == NULL)
		return -errno;
	*ret_path = resolved;
	return 0;
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

int path_find_program(const char *name, char **ret_path)
{
	const char *search = getenv("PATH");

	if (strchr(name, '/') != NULL) {
		if (!is_program(name))
			return -ENOENT;
		*ret_path = mem_strdup(name);
		return 0;
	}
	if (search == NULL)
		search = "/usr/local/bin:/usr/bin:/bin";
	while (*search != '\0') {
		size_t length = strcspn(search, ":");
		_cleanup_free_ char *path = NULL;

		path = length > 0 ? mem_printf("%.*s/%s", (int)length, search, name)
				  : mem_strdup(name);
		if (is_program(path)) {
			*ret_path = take_ptr(path);
			return 0;
		}
		search += length + (search[length] == ':');
	}
	return -ENOENT;
}
