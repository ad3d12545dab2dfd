/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"

#define ROOT "/sys/fs/cgroup"

/* musl has no <linux/sched.h>. */
#define INTO_CGROUP 0x200000000ULL

struct clone_arguments {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal;
	uint64_t stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static const char *const directories[] = {
	[PROCESS_WORKLOAD] = ROOT "/workload",
	[PROCESS_SESSION] = ROOT "/sessions",
};

static int directory_fds[ARRAY_SIZE(directories)];

int cgroup_set_up(void)
{
	int r;

	/* Only what we read: each more costs time, and whoever wants others may add them. */
	r = file_write(ROOT "/cgroup.subtree_control", "+memory");
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		if (mkdir(directories[i], 0755) < 0 && errno != EEXIST)
			r = -errno;
		directory_fds[i] = open(directories[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (directory_fds[i] < 0)
			r = -errno;
	}
	return r;
}

/*
 * A process that is there already is moved only when no other is just being forked, and to know that
 * takes the kernel a grace period: 10 ms. The C library does not know of this child: it executes or
 * exits.
 */
pid_t cgroup_fork(enum process_kind kind)
{
	struct clone_arguments arguments = {
		.flags = INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)directory_fds[kind],
	};

	return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

uint64_t cgroup_oom_kills(enum process_kind kind)
{
	char path[64], text[512];
	const char *line;

	snprintf(path, sizeof(path), "%s/memory.events", directories[kind]);
	if (file_read(path, text, sizeof(text)) < 0)
		return 0;
	line = strstr(text, "oom_kill ");
	return line != NULL ? strtoull(line + strlen("oom_kill "), NULL, 10) : 0;
}
