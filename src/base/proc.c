/* SPDX-License-Identifier: Apache-2.0 */
#include "proc.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

bool proc_is_running(const struct proc_id *id)
{
	struct proc_id now;

	return id->pid > 0 && proc_identify(id->pid, &now) == 0 && now.start_time == id->start_time;
}

int proc_kill(const struct proc_id *id, int sig)
{
	if (!proc_is_running(id))
		return -ESRCH;
	return kill(id->pid, sig) < 0 ? -errno : 0;
}

unsigned proc_host_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned)n : 1;
}

int proc_raise_open_files(uint64_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur >= wanted)
		return 0;
	limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)wanted);
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}
