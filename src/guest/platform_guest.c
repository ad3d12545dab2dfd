/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "clock.h"
#include "fd.h"
#include "file.h"
#include "mounts.h"
#include "network.h"
#include "platform.h"
#include "power.h"
#include "spawn.h"
#include "transport.h"
#include "volumes.h"

#define CLOCK_DRIFT_NS_MAX (100 * NS_PER_MS) /* less is not worth a jump */
#define FILES_SOFT         65536
#define FILES_HARD         1048576
#define US_PER_TICK        10000 /* of /proc/stat: USER_HZ is 100 */
#define SECTOR_BYTES       512   /* of /proc/diskstats */
#define KERNEL_TEXT_BYTES  (8 * KIB)

static bool has_cgroups;

static void set_clock(uint64_t realtime_ns)
{
	struct timespec now = {
		.tv_sec = (time_t)(realtime_ns / NS_PER_S),
		.tv_nsec = (long)(realtime_ns % NS_PER_S),
	};

	if (clock_settime(CLOCK_REALTIME, &now) < 0)
		control_warn("cannot set the clock: %s", strerror(errno));
}

void platform_clock_set(uint64_t realtime_ns)
{
	struct timespec now;
	uint64_t now_ns, drift_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	now_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	drift_ns = now_ns > realtime_ns ? now_ns - realtime_ns : realtime_ns - now_ns;
	if (realtime_ns != 0 && drift_ns > CLOCK_DRIFT_NS_MAX)
		set_clock(realtime_ns);
}

static uint32_t us_since(uint64_t start_ns)
{
	return (uint32_t)((clock_now_ns() - start_ns) / NS_PER_US);
}

/* Docker makes it too: images name directories that nothing has made. */
static void make_workdir(const char *workdir)
{
	int r = workdir != NULL && workdir[0] == '/' ? file_make_directories(workdir, 0755) : 0;

	if (r < 0)
		control_warn("cannot make the directory %s: %s", workdir, strerror(-r));
}

int platform_set_up(const struct wire_config *config, struct set_up_times *ret_times,
		    struct failure *failure)
{
	struct rlimit files = {.rlim_cur = FILES_SOFT, .rlim_max = FILES_HARD};
	uint64_t start_ns = clock_now_ns();
	int r;

	if (config->realtime_ns != 0)
		set_clock(config->realtime_ns);
	if (config->hostname != NULL && sethostname(config->hostname, strlen(config->hostname)) < 0)
		control_warn("cannot set the hostname: %s", strerror(errno));
	if (mounts_set_up_root(config, failure) < 0 || volumes_set_up(config, failure) < 0)
		return -1;
	make_workdir(config->process.workdir);
	(void)setrlimit(RLIMIT_NOFILE, &files); /* of all that come */
	r = cgroup_set_up();
	has_cgroups = r == 0;
	if (r < 0)
		control_warn("nobody will be told of processes killed for want of memory: %s",
			     strerror(-r));
	ret_times->root_us = us_since(start_ns);
	start_ns = clock_now_ns();
	if (network_set_up(config, failure) < 0)
		return -1;
	ret_times->network_us = us_since(start_ns);
	return 0;
}

int platform_session_dial(uint32_t port, bool *ret_connecting)
{
	return transport_dial_session(port, ret_connecting);
}

bool platform_has_session_ports(void)
{
	return transport_has_session_ports();
}

pid_t platform_fork(enum process_kind kind)
{
	return spawn_copy(has_cgroups ? cgroup_fd(kind) : -1);
}

pid_t platform_spawn(enum process_kind kind, void (*run)(void *argument), void *argument,
		     void *stack, size_t stack_bytes)
{
	return spawn(run, argument, stack, stack_bytes, has_cgroups ? cgroup_fd(kind) : -1);
}

const char *platform_default_user(void)
{
	return "0";
}

uint64_t platform_oom_kills(enum process_kind kind)
{
	return has_cgroups ? cgroup_oom_kills(kind) : 0;
}

static void read_cpu(const char *text, struct wire_stats *stats)
{
	unsigned long long user, nice, system, idle, iowait, irq, softirq;

	if (sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle,
		   &iowait, &irq, &softirq) == 7)
		stats->cpu_us = (user + nice + system + irq + softirq) * US_PER_TICK;
}

static uint64_t memory_bytes(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line != NULL ? strtoull(line + strlen(name), NULL, 10) * KIB : 0;
}

/* Whole virtio disks: "vda", not "vda1". */
static void add_disk(const char *line, struct wire_stats *stats)
{
	unsigned long long read, written;
	char name[32];

	if (sscanf(line, "%*u %*u %31s %*u %*u %llu %*u %*u %*u %llu", name, &read, &written) ==
		    3 &&
	    strlen(name) == 3 && strncmp(name, "vd", 2) == 0) {
		stats->disk_read_bytes += read * SECTOR_BYTES;
		stats->disk_written_bytes += written * SECTOR_BYTES;
	}
}

/* The root's is that of the machine's disk. */
static void read_root(struct wire_stats *stats)
{
	struct statvfs fs;

	if (statvfs("/", &fs) < 0)
		return;
	stats->root_total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
	stats->root_available_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
}

void platform_stats_read(struct wire_stats *ret_stats)
{
	static char text[KERNEL_TEXT_BYTES];

	*ret_stats = (struct wire_stats){0};
	if (file_read("/proc/stat", text, sizeof(text)) > 0)
		read_cpu(text, ret_stats);
	if (file_read("/proc/meminfo", text, sizeof(text)) > 0) {
		ret_stats->memory_total_bytes = memory_bytes(text, "MemTotal:");
		ret_stats->memory_available_bytes = memory_bytes(text, "MemAvailable:");
	}
	read_root(ret_stats);
	if (file_read("/proc/diskstats", text, sizeof(text)) <= 0)
		return;
	for (const char *line = text; line != NULL && *line != '\0';) {
		add_disk(line, ret_stats);
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
}

void platform_kill_all(void)
{
	(void)kill(-1, SIGKILL);
}

void platform_end(uint32_t code)
{
	power_end(code);
}
