/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "etc.h"
#include "fd.h"
#include "platform.h"
#include "run.h"
#include "uevent.h"
#include "volumes.h"

#define STAGE                                                                                      \
	"/newroot" /* a mount point of the boot root; a tmpfs with the three below is put there */
#define LOWER STAGE "/lower"
#define UPPER STAGE "/upper"
#define ROOT  STAGE "/root"

struct file_system {
	const char *type;
	const char *target;
	unsigned long flags;
	const char *options;
	bool optional;
};

static const struct file_system boot_mounts[] = {
	{"devtmpfs", "/dev", MS_NOSUID, NULL, true}, /* the kernel may have done it */
	{"sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, true},
};

static const struct file_system kernel_mounts[] = {
	{"proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false},
	{"sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false},
	{"cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, true},
	{"devtmpfs", "/dev", MS_NOSUID, NULL, false},
	{"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666", false},
	{"mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, true},
};

static const struct file_system shm_mount = {
	"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", false,
};

static const char *const links[][2] = {
	{"/proc/self/fd", "/dev/fd"},
	{"/proc/self/fd/0", "/dev/stdin"},
	{"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"},
};

static int disk_fd = -1; /* a directory of the machine's disk, which has no path any more */

static int mount_one(const struct file_system *fs, struct failure *failure)
{
	(void)mkdir(fs->target, 0755);
	if (mount(fs->type, fs->target, fs->type, fs->flags, fs->options) == 0 || fs->optional)
		return 0;
	return failure_set_errno(failure, CODE_SET_UP, "cannot mount %s on %s", fs->type,
				 fs->target);
}

void mounts_begin(void)
{
	struct failure ignored;

	for (size_t i = 0; i < ARRAY_SIZE(boot_mounts); i++)
		(void)mount_one(&boot_mounts[i], &ignored);
}

static int mount_disk(const char *device, const char *target, unsigned long flags,
		      struct failure *failure)
{
	if (device == NULL)
		return failure_set(failure, CODE_SET_UP, "the configuration names no disk for %s",
				   target);
	if (!uevent_wait_path(device, MOUNTS_DISK_TIMEOUT_NS))
		return failure_set(failure, CODE_SET_UP, "the disk %s is not there", device);
	if (mount(device, target, "ext4", flags, NULL) < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot mount the disk %s", device);
	return 0;
}

static int mount_overlay(const struct wire_config *config, struct failure *failure)
{
	if (mkdir(LOWER, 0755) < 0 || mkdir(UPPER, 0755) < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot make mount points");
	if (mount_disk(config->lower_device, LOWER, MS_RDONLY, failure) < 0 ||
	    mount_disk(config->upper_device, UPPER, MS_NOATIME, failure) < 0)
		return -1;
	disk_fd = open(UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)mkdir(UPPER "/upper", 0755);
	(void)mkdir(UPPER "/work", 0755);
	/* Renaming a directory of the image and changing a file's owner need no copy of its data. */
	if (mount("overlay", ROOT, "overlay", 0,
		  "lowerdir=" LOWER ",upperdir=" UPPER "/upper,workdir=" UPPER "/work,"
		  "redirect_dir=on,metacopy=on") < 0)
		return failure_set_errno(failure, CODE_SET_UP,
					 "cannot mount the machine's disk over its image");
	return 0;
}

static int mount_directory(const struct wire_config *config, struct failure *failure)
{
	if (config->root_tag == NULL)
		return failure_set(failure, CODE_SET_UP, "the configuration names no directory");
	if (mount(config->root_tag, ROOT, "virtiofs", 0, NULL) < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot mount the root directory");
	return 0;
}

static int mount_root(const struct wire_config *config, struct failure *failure)
{
	if (mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") < 0 ||
	    mkdir(ROOT, 0755) < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot prepare the root");
	switch (config->root_kind) {
	case WIRE_ROOT_OVERLAY:
		return mount_overlay(config, failure);
	case WIRE_ROOT_DIRECTORY:
		return mount_directory(config, failure);
	default:
		return failure_set(failure, CODE_SET_UP, "a guest has no root of kind %u",
				   config->root_kind);
	}
}

/* With both arguments the same the old root ends up above the new one, where it is detached. */
static int pivot(struct failure *failure)
{
	if (chdir(ROOT) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot change to the root");
	return 0;
}

int mounts_set_up_root(const struct wire_config *config, struct failure *failure)
{
	if (mount_root(config, failure) < 0 || pivot(failure) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(kernel_mounts); i++) {
		if (mount_one(&kernel_mounts[i], failure) < 0)
			return -1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		(void)symlink(links[i][0], links[i][1]);
	if (run_set_up(failure) < 0)
		return -1;
	etc_set_up(config);
	return mount_one(&shm_mount, failure);
}

/*
 * Frozen, an ext4 is on disk as if it had been unmounted; and unlike an unmount this cannot fail because
 * somebody has mounted something somewhere.
 */
void mounts_freeze(int fd)
{
	(void)ioctl(fd, FIFREEZE, 0);
}

void mounts_end(void)
{
	volumes_end();
	if (disk_fd >= 0)
		mounts_freeze(disk_fd);
}
