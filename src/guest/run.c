/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"

#define DEPTH_MAX   4
#define ENTRIES_MAX 256

static void copy_link(int from, int to, const char *name)
{
	char target[LIMIT_PATH_BYTES + 1];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n <= 0)
		return;
	target[n] = '\0';
	(void)symlinkat(target, to, name);
}

static void copy_entries(int from, int to, int depth, int *entries_left);

static void copy_directory(int from, int to, const char *name, int depth, int *entries_left)
{
	_cleanup_fd_ int old = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_fd_ int new = -1;
	struct stat st;

	if (old < 0 || fstat(old, &st) < 0 || mkdirat(to, name, 0700) < 0)
		return;
	new = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (new < 0)
		return;
	(void)!fchown(new, st.st_uid, st.st_gid);
	(void)fchmod(new, st.st_mode & 07777);
	if (depth < DEPTH_MAX)
		copy_entries(old, new, depth + 1, entries_left);
}

static void copy_entries(int from, int to, int depth, int *entries_left)
{
	DIR *dir = fdopendir(dup(from));
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL && (*entries_left)-- > 0) {
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    fstatat(from, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			copy_directory(from, to, entry->d_name, depth, entries_left);
		else if (S_ISLNK(st.st_mode))
			copy_link(from, to, entry->d_name);
	}
	if (dir != NULL)
		closedir(dir);
}

int run_set_up(struct failure *failure)
{
	_cleanup_fd_ int old = -1;
	_cleanup_fd_ int new = -1;
	int entries_left = ENTRIES_MAX;

	(void)mkdir("/run", 0755);
	old = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot mount tmpfs on /run");
	new = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (old >= 0 && new >= 0)
		copy_entries(old, new, 0, &entries_left);
	return 0;
}
