/* SPDX-License-Identifier: Apache-2.0 */
#include "usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"

#define TEXT_BYTES_MAX 16384

/* The number in KiB behind a name at the start of a line, in bytes; 0 without one. */
static uint64_t find_kib(const struct buf *text, const char *name)
{
	size_t length = strlen(name);
	uint64_t kib;

	for (const char *line = text->data; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) == 0 &&
		    sscanf(line + length, "%" SCNu64, &kib) == 1)
			return kib * 1024;
	}
	return 0;
}

static int read_proc(pid_t pid, const char *name, struct buf *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return file_read(path, text);
}

static uint64_t read_memory(pid_t pid)
{
	_cleanup_buf_ struct buf text;

	buf_init(&text, TEXT_BYTES_MAX);
	if (read_proc(pid, "smaps_rollup", &text) >= 0 && text.length > 0)
		return find_kib(&text, "Pss:");
	buf_clear(&text);
	/* A process that has closed itself, as krun-net has: what of it is no file's. */
	if (read_proc(pid, "status", &text) < 0)
		return 0;
	return find_kib(&text, "RssAnon:") + find_kib(&text, "RssShmem:");
}

static uint64_t read_cpu_us(pid_t pid)
{
	struct timespec spent;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &spent) < 0)
		return 0;
	return ((uint64_t)spent.tv_sec * CLOCK_NS_PER_S + (uint64_t)spent.tv_nsec) / 1000;
}

void usage_add(struct usage *usage, pid_t pid)
{
	usage->cpu_us += read_cpu_us(pid);
	usage->memory_bytes += read_memory(pid);
}
