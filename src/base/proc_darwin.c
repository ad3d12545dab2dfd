/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libproc.h>
#include <mach-o/dyld.h>
#include <stdlib.h>
#include <sys/param.h>
#include <sys/sysctl.h>
#include <unistd.h>

#include "mem.h"
#include "proc.h"

#define USEC_PER_SEC 1000000

int proc_identify(pid_t pid, struct proc_id *ret_id)
{
	struct proc_bsdinfo info;

	if (proc_pidinfo(pid, PROC_PIDTBSDINFO, 0, &info, sizeof(info)) != (int)sizeof(info))
		return -ESRCH;
	if (info.pbi_status == SZOMB)
		return -ESRCH;
	*ret_id = (struct proc_id){
		.pid = pid,
		.start_time = info.pbi_start_tvsec * USEC_PER_SEC + info.pbi_start_tvusec,
	};
	return 0;
}

int proc_die_with_parent(pid_t parent)
{
	return getppid() == parent ? 0 : -ESRCH;
}

int proc_self_path(char **ret_path)
{
	char path[MAXPATHLEN];
	uint32_t length = sizeof(path);

	if (_NSGetExecutablePath(path, &length) != 0)
		return -ENAMETOOLONG;
	*ret_path = realpath(path, NULL);
	return *ret_path != NULL ? 0 : -errno;
}

uint64_t proc_host_memory_mib(void)
{
	uint64_t bytes = 0;
	size_t length = sizeof(bytes);

	if (sysctlbyname("hw.memsize", &bytes, &length, NULL, 0) < 0)
		return 0;
	return bytes >> 20;
}
