/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"

#define ROOT "/sys/fs/cgroup"

static const char *const directories[] = {
	[PROCESS_WORKLOAD] = ROOT "/workload",
	[PROCESS_SESSION] = ROOT "/sessions",
};

static int directory_fds[ARRAY_SIZE(directories)];
static int events_fds[ARRAY_SIZE(directories)];

/* What is asked of a group with each process that begins stays open. */
static int open_group(enum process_kind kind)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/memory.events", directories[kind]);
	directory_fds[kind] = open(directories[kind], O_PATH | O_DIRECTORY | O_CLOEXEC);
	events_fds[kind] = open(path, O_RDONLY | O_CLOEXEC);
	return directory_fds[kind] < 0 || events_fds[kind] < 0 ? -errno : 0;
}

int cgroup_set_up(void)
{
	int r;

	/* Only what we read: each more costs time, and whoever wants others may add them. */
	r = file_write(ROOT "/cgroup.subtree_control", "+memory");
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		int opened;

		if (mkdir(directories[i], 0755) < 0 && errno != EEXIST)
			r = -errno;
		opened = open_group(i);
		r = opened < 0 ? opened : r;
	}
	return r;
}

int cgroup_fd(enum process_kind kind)
{
	return directory_fds[kind];
}

uint64_t cgroup_oom_kills(enum process_kind kind)
{
	char text[512];
	const char *line;
	ssize_t n = pread(events_fds[kind], text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	line = strstr(text, "oom_kill ");
	return line != NULL ? strtoull(line + strlen("oom_kill "), NULL, 10) : 0;
}
