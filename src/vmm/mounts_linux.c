/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

/* mount_setattr(2), of Linux 5.12; the headers of older C libraries do not have it. */
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#define ATTRIBUTE_READ_ONLY 0x1
#define RECURSIVE           0x8000

struct attributes {
	uint64_t set, clear, propagation, user_namespace_fd;
};

static int write_map(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int map_id(const char *path, unsigned id)
{
	char text[64];

	snprintf(text, sizeof(text), "%u %u 1", id, id);
	return write_map(path, text);
}

static int enter_user_namespace(uid_t uid, gid_t gid)
{
	int r;

	/* The order is the kernel's. */
	r = write_map("/proc/self/setgroups", "deny");
	if (r >= 0)
		r = map_id("/proc/self/uid_map", uid);
	if (r >= 0)
		r = map_id("/proc/self/gid_map", gid);
	return r;
}

int mount_isolate(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r = 0;

	if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -errno;
	if (uid != 0)
		r = enter_user_namespace(uid, gid);
	if (r >= 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		r = -errno;
	return r;
}

int mount_bind(const char *from, const char *to, bool read_only)
{
	struct attributes attributes = {.set = ATTRIBUTE_READ_ONLY};

	if (mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0)
		return -errno;
	/* An old remount would reach the topmost mount only. */
	if (read_only && syscall(SYS_mount_setattr, AT_FDCWD, to, RECURSIVE, &attributes,
				 sizeof(attributes)) < 0)
		return -errno;
	return 0;
}

int mount_seal(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (geteuid() == 0)
		return 0;
	if (syscall(SYS_capset, &head, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}
