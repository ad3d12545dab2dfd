/* SPDX-License-Identifier: Apache-2.0 */
#include "volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "mounts.h"
#include "uevent.h"

/* Where the share of a single file is for a moment. */
#define STAGE "/run/.krun-share"

/* ext4: where the superblock counts how often it was mounted for writing. */
#define MOUNT_COUNT_OFFSET (1024 + 52)

static int disk_fds[LIMIT_VOLUMES]; /* directories of disks that may be written to */
static size_t disk_count;

static int make_directory(const char *path, struct failure *failure)
{
	int r = file_make_directories(path, 0755);

	if (r == 0)
		return 0;
	errno = -r;
	return failure_set_errno(failure, CODE_SET_UP, "cannot make the directory %s", path);
}

static unsigned long flags_of(const struct wire_volume *volume)
{
	return volume->read_only ? MS_RDONLY : 0;
}

/* ---- directories ---- */

static int mount_share(const struct wire_volume *volume, struct failure *failure)
{
	if (make_directory(volume->guest_path, failure) < 0)
		return -1;
	if (mount(volume->virtiofs_tag, volume->guest_path, "virtiofs", flags_of(volume), NULL) < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot mount a volume on %s",
					 volume->guest_path);
	return 0;
}

/* ---- single files ---- */

/* Something to mount on; with the directories above it. */
static int make_file(const char *path, struct failure *failure)
{
	char directory[LIMIT_PATH_BYTES + 1];
	_cleanup_fd_ int fd = -1;
	char *slash;

	if (strlen(path) >= sizeof(directory))
		return failure_set(failure, CODE_SET_UP, "the path of a volume is too long");
	strcpy(directory, path);
	slash = strrchr(directory, '/');
	if (slash != NULL && slash != directory) {
		*slash = '\0';
		if (make_directory(directory, failure) < 0)
			return -1;
	}
	fd = open(path, O_RDONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
	if (fd < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot make the file %s", path);
	return 0;
}

static int bind_file(const struct wire_volume *volume, struct failure *failure)
{
	char from[LIMIT_PATH_BYTES + sizeof(STAGE) + 1];

	snprintf(from, sizeof(from), STAGE "/%s", volume->source);
	if (mount(from, volume->guest_path, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, volume->guest_path, NULL, MS_BIND | MS_REMOUNT | flags_of(volume), NULL) <
		    0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot mount a file on %s",
					 volume->guest_path);
	return 0;
}

/* The file lives on where it is mounted; of its share nothing is to be seen. */
static int mount_file(const struct wire_volume *volume, struct failure *failure)
{
	int r;

	if (make_file(volume->guest_path, failure) < 0)
		return -1;
	(void)mkdir(STAGE, 0700);
	if (mount(volume->virtiofs_tag, STAGE, "virtiofs", flags_of(volume), NULL) < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot mount the file for %s",
					 volume->guest_path);
	r = bind_file(volume, failure);
	(void)umount2(STAGE, MNT_DETACH);
	(void)rmdir(STAGE);
	return r;
}

/* ---- disks ---- */

static bool was_never_mounted(const char *device)
{
	_cleanup_fd_ int fd = open(device, O_RDONLY | O_CLOEXEC);
	uint8_t count[2];

	return fd >= 0 && pread(fd, count, sizeof(count), MOUNT_COUNT_OFFSET) == sizeof(count) &&
	       wire_get_u16(count) == 0;
}

/* Programs want to begin in an empty directory: what the host's tools put there goes away. */
static void empty(int fd)
{
	static const char *const names[] = {"upper", "work", "lost+found"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(fd, names[i], AT_REMOVEDIR);
}

static int fail_disk(const struct wire_volume *volume, struct failure *failure)
{
	if (errno == EINVAL)
		return failure_set(failure, CODE_SET_UP,
				   "the volume for %s is not an ext4 file system",
				   volume->guest_path);
	if (errno == EROFS && volume->read_only)
		return failure_set(failure, CODE_SET_UP,
				   "the volume for %s was not left cleanly: mount it for writing "
				   "once before it can be read only",
				   volume->guest_path);
	return failure_set_errno(failure, CODE_SET_UP, "cannot mount the volume for %s",
				 volume->guest_path);
}

static int mount_disk(const struct wire_volume *volume, struct failure *failure)
{
	bool is_new;
	int fd;

	if (make_directory(volume->guest_path, failure) < 0)
		return -1;
	if (!uevent_wait_path(volume->device, MOUNTS_DISK_TIMEOUT_NS))
		return failure_set(failure, CODE_SET_UP, "the disk %s for %s is not there",
				   volume->device, volume->guest_path);
	is_new = was_never_mounted(volume->device);
	if (mount(volume->device, volume->guest_path, "ext4", MS_NOATIME | flags_of(volume), NULL) <
	    0)
		return fail_disk(volume, failure);
	if (volume->read_only)
		return 0;
	fd = open(volume->guest_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_disk(volume, failure);
	if (is_new)
		empty(fd);
	disk_fds[disk_count++] = fd;
	return 0;
}

int volumes_set_up(const struct wire_config *config, struct failure *failure)
{
	for (uint32_t i = 0; i < config->volume_count; i++) {
		const struct wire_volume *volume = &config->volumes[i];
		int r;

		if (volume->device != NULL)
			r = mount_disk(volume, failure);
		else if (volume->virtiofs_tag == NULL)
			r = failure_set(failure, CODE_SET_UP,
					"the configuration does not say what to mount on %s",
					volume->guest_path);
		else if (volume->source != NULL)
			r = mount_file(volume, failure);
		else
			r = mount_share(volume, failure);
		if (r < 0)
			return -1;
	}
	return 0;
}

void volumes_end(void)
{
	for (size_t i = 0; i < disk_count; i++)
		mounts_freeze(disk_fds[i]);
}
