/* SPDX-License-Identifier: Apache-2.0 */
#include "share_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "mounts.h"

static char *files_directory(const struct plan *plan)
{
	return path_join(plan->config->machine_dir, PLAN_SHARED_FILES);
}

static bool has_files(const struct plan *plan)
{
	for (size_t i = 0; i < plan->share_count; i++) {
		if (plan->shares[i].file != NULL)
			return true;
	}
	return false;
}

/* What an earlier start has left is taken away. */
static int make_directories(const struct plan *plan, struct err *err)
{
	_cleanup_free_ char *directory = files_directory(plan);
	int r;

	r = file_remove_tree(directory);
	if (r >= 0 && mkdir(directory, 0700) < 0)
		r = -errno;
	for (size_t i = 0; r >= 0 && i < plan->share_count; i++) {
		if (plan->shares[i].file != NULL && mkdir(plan->shares[i].path, 0700) < 0)
			r = -errno;
	}
	return r < 0 ? err_set_errno(err, -r, "cannot make '%s'", directory) : 0;
}

/* A name that has become something else since the plan was made must not be shared as that. */
static bool is_file(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool link_file(const struct plan_share *share)
{
	_cleanup_free_ char *path = path_join(share->path, PLAN_FILE_NAME);

	if (link(share->file, path) < 0)
		return false;
	if (is_file(path))
		return true;
	(void)unlink(path);
	return false;
}

static int bind_file(const struct plan_share *share, struct err *err)
{
	_cleanup_free_ char *path = path_join(share->path, PLAN_FILE_NAME);
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_set_errno(err, errno, "cannot make '%s'", path);
	if (!is_file(share->file))
		return err_set(err, EINVAL, "'%s' is no regular file any more", share->file);
	r = mount_bind(share->file, path, share->read_only);
	return r < 0 ? err_set_errno(err, -r, "cannot mount it at '%s'", path) : 0;
}

static int isolate(struct err *err)
{
	int r = mount_isolate();

	return r < 0 ? err_set_errno(err, -r, "cannot make a mount namespace") : 0;
}

static int seal(struct err *err)
{
	int r = mount_seal();

	return r < 0 ? err_set_errno(err, -r, "cannot give up the rights of a user namespace") : 0;
}

/* The first one that cannot be linked decides that there is a namespace. */
static int place(const struct plan *plan, struct err *err)
{
	bool isolated = false;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < plan->share_count; i++) {
		const struct plan_share *share = &plan->shares[i];

		if (share->file == NULL || link_file(share))
			continue;
		if (!isolated)
			r = isolate(err);
		isolated = true;
		if (r >= 0)
			r = bind_file(share, err);
		if (r < 0)
			return err_prefix(err,
					  "volume '%s': a single file is shared by a hard link "
					  "or a mount, and here it can be neither; share its "
					  "directory, or a copy on the file system of '%s'",
					  share->file, plan->config->machine_dir);
	}
	return isolated ? seal(err) : 0;
}

int share_files_place(const struct plan *plan, struct err *err)
{
	int r;

	if (!has_files(plan))
		return 0;
	r = make_directories(plan, err);
	return r < 0 ? r : place(plan, err);
}

void share_files_remove(const struct plan *plan)
{
	_cleanup_free_ char *directory = NULL;

	if (!has_files(plan))
		return;
	directory = files_directory(plan);
	(void)file_remove_tree(directory);
}
