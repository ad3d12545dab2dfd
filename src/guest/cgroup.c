/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fd.h"
#include "file.h"

#define ROOT "/sys/fs/cgroup"

static const char *const directories[] = {
	[PROCESS_WORKLOAD] = ROOT "/workload",
	[PROCESS_SESSION] = ROOT "/sessions",
};

int cgroup_set_up(void)
{
	int r;

	/* Only what we read: each more costs time, and whoever wants others may add them. */
	r = file_write(ROOT "/cgroup.subtree_control", "+memory");
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		if (mkdir(directories[i], 0755) < 0 && errno != EEXIST)
			r = -errno;
	}
	return r;
}

void cgroup_enter(enum process_kind kind)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/cgroup.procs", directories[kind]);
	(void)file_write(path, "0");
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
