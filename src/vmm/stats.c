/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "usage.h"

#define STAT_BLOCK_BYTES 512 /* of st_blocks, whatever the file system's blocks are */

static uint64_t count_disk_bytes(const char *path)
{
	struct stat st;

	if (path == NULL || stat(path, &st) < 0)
		return 0;
	return (uint64_t)st.st_blocks * STAT_BLOCK_BYTES;
}

/* A child that is not reaped yet has its pid to itself. */
static void count_host(const struct stats *stats, struct wire_machine_stats *answer)
{
	struct usage usage = {0};

	usage_add(&usage, getpid());
	if (stats->vm->child.running)
		usage_add(&usage, stats->vm->child.id.pid);
	if (stats->net->child.running)
		usage_add(&usage, stats->net->child.id.pid);
	answer->host_cpu_us = usage.cpu_us;
	answer->host_memory_bytes = usage.memory_bytes;
	answer->disk_bytes = count_disk_bytes(stats->disk_path);
}

static void finish(struct stats *stats)
{
	stats->deadline_ms = INT64_MAX;
	stats->guest_due = stats->net_due = false;
	stats->answer.realtime_ns = (uint64_t)clock_realtime_ns();
	count_host(stats, &stats->answer);
	control_set_stats(stats->control, &stats->answer);
}

static void finish_if_whole(struct stats *stats)
{
	if (stats->deadline_ms != INT64_MAX && !stats->guest_due && !stats->net_due)
		finish(stats);
}

void stats_init(struct stats *stats, struct guest *guest, struct net *net, const struct vm *vm,
		struct control *control, const char *disk_path)
{
	*stats = (struct stats){
		.guest = guest,
		.net = net,
		.vm = vm,
		.control = control,
		.disk_path = disk_path,
		.deadline_ms = INT64_MAX,
	};
}

void stats_ask(struct stats *stats)
{
	if (stats->deadline_ms != INT64_MAX)
		return;
	stats->answer = (struct wire_machine_stats){0};
	stats->deadline_ms = clock_monotonic_ms() + STATS_WAIT_MS;
	/* vminit hears nothing more once it has reported the workload's end. */
	stats->guest_due =
		stats->guest->ready && !stats->guest->exited && guest_ask_stats(stats->guest) >= 0;
	stats->net_due = stats->net->ready && net_ask_stats(stats->net) >= 0;
	finish_if_whole(stats);
}

void stats_take_guest(struct stats *stats, const struct wire_stats *guest)
{
	stats->answer.guest = *guest;
	stats->guest_due = false;
	finish_if_whole(stats);
}

void stats_take_net(struct stats *stats, const struct wire_net_stats *net)
{
	stats->answer.net = *net;
	stats->net_due = false;
	finish_if_whole(stats);
}

void stats_expire(struct stats *stats, int64_t now_ms)
{
	if (now_ms >= stats->deadline_ms)
		finish(stats);
}
