/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "proc.h"

/* Fields of /proc/PID/stat after the name in parentheses (proc_pid_stat(5)). */
#define STAT_FIELD_STATE     3
#define STAT_FIELD_STARTTIME 22

static const char *skip_fields(const char *p, int count)
{
	for (; count > 0 && p != NULL; count--) {
		p = strchr(p, ' ');
		if (p != NULL)
			p++;
	}
	return p;
}

int proc_identify(pid_t pid, struct proc_id *ret_id)
{
	char path[32], text[1024];
	_cleanup_fd_ int fd = -1;
	const char *state, *start;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	/* The name may hold spaces and parentheses: the last one ends it. */
	state = strrchr(text, ')');
	if (state == NULL || state[1] != ' ')
		return -EIO;
	state += 2;
	if (*state == 'Z' || *state == 'X')
		return -ESRCH;
	start = skip_fields(state, STAT_FIELD_STARTTIME - STAT_FIELD_STATE);
	if (start == NULL)
		return -EIO;
	*ret_id = (struct proc_id){.pid = pid, .start_time = strtoull(start, NULL, 10)};
	return 0;
}

int proc_die_with_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

int proc_self_path(char **ret_path)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return -errno;
	path[n] = '\0';
	*ret_path = mem_strdup(path);
	return 0;
}

uint64_t proc_host_memory_mib(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);

	return pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes >> 20 : 0;
}
