/* SPDX-License-Identifier: Apache-2.0 */
#include "usage.h"

#include <libproc.h>
#include <mach/mach_time.h>
#include <sys/resource.h>

/* Times are in units of mach_absolute_time(), which are nanoseconds only on Intel's processors. */
static uint64_t to_us(uint64_t units)
{
	mach_timebase_info_data_t base = {0};

	if (mach_timebase_info(&base) != 0 || base.denom == 0)
		return 0;
	return (uint64_t)((__uint128_t)units * base.numer / base.denom / 1000);
}

void usage_add(struct usage *usage, pid_t pid)
{
	struct rusage_info_v2 info;

	if (proc_pid_rusage(pid, RUSAGE_INFO_V2, (rusage_info_t *)&info) < 0)
		return;
	usage->cpu_us += to_us(info.ri_user_time + info.ri_system_time);
	usage->memory_bytes += info.ri_phys_footprint;
}
