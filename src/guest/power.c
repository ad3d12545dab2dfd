/* SPDX-License-Identifier: Apache-2.0 */
#include "power.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "fd.h"
#include "mounts.h"

#define VIRTIOFS_SET_EXIT_CODE 0x7602 /* libkrun's, the code by value */
#define FUSE_MAGIC             0x65735546

static int boot_fd = -1;

void power_begin(void)
{
	struct statfs fs;

	boot_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (boot_fd >= 0 && (fstatfs(boot_fd, &fs) < 0 || fs.f_type != FUSE_MAGIC))
		fd_close(&boot_fd);
}

void power_end(uint32_t code)
{
	sync();
	mounts_end();
	if (boot_fd >= 0)
		(void)ioctl(boot_fd, VIRTIOFS_SET_EXIT_CODE, (unsigned long)code);
	(void)reboot(RB_AUTOBOOT);
	/* Not reached, and PID 1 must not return. */
	for (;;)
		pause();
}
