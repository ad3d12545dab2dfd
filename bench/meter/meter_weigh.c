/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter weigh [-s SECONDS] PID...
 *
 * Prints, over all the processes together, `pss_kib N` (proportional set size without guest RAM), `rss_kib N`, and
 * `guest_kib N` (what of the guest's RAM is there); with -s first waits and prints `cpu_ms N`, the CPU time used while
 * waiting. Guest RAM is what both VMMs map for it: anonymous, writable, without a name, and as large as the smallest machine.
 */
#include "meter.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/opt.h"
#include "base/strv.h"

#define GUEST_RAM_KIB_MIN (100ul << 10)

struct weight {
	unsigned long pss_kib;
	unsigned long rss_kib;
	unsigned long guest_kib;
};

static int process_weigh(const char *pid, struct weight *weight)
{
	unsigned long from, to, value;
	bool guest = false;
	char path[64], line[512], mode[5], name[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/smaps", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		int fields = sscanf(line, "%lx-%lx %4s %*s %*s %*s %127s", &from, &to, mode, name);

		if (fields >= 3)
			guest = fields == 3 && mode[1] == 'w' &&
				(to - from) >> 10 >= GUEST_RAM_KIB_MIN;
		else if (sscanf(line, "Pss: %lu kB", &value) == 1)
			*(guest ? &weight->guest_kib : &weight->pss_kib) += value;
		else if (!guest && sscanf(line, "Rss: %lu kB", &value) == 1)
			weight->rss_kib += value;
	}
	fclose(file);
	return 0;
}

/* Time on a processor of all threads of a process, in milliseconds: exact, where ticks would round idle to nothing. */
static int process_cpu_ms(const char *pid, double *total_ms)
{
	char pattern[64];
	glob_t threads;
	int result;

	snprintf(pattern, sizeof(pattern), "/proc/%s/task/*/schedstat", pid);
	result = glob(pattern, 0, NULL, &threads);
	if (result != 0)
		return -ESRCH;
	for (size_t i = 0; i < threads.gl_pathc; i++) {
		unsigned long long on_cpu_ns = 0;
		FILE *file = fopen(threads.gl_pathv[i], "re");

		/* A thread may have ended by now. */
		if (file && fscanf(file, "%llu", &on_cpu_ns) == 1)
			*total_ms += (double)on_cpu_ns / 1e6;
		if (file)
			fclose(file);
	}
	globfree(&threads);
	return 0;
}

static int processes_cpu(char **pids, long long seconds)
{
	double before_ms = 0, after_ms = 0;
	int result = 0;

	for (char **pid = pids; *pid && result == 0; pid++)
		result = process_cpu_ms(*pid, &before_ms);
	if (result < 0)
		return result;
	sleep((unsigned)seconds);
	for (char **pid = pids; *pid && result == 0; pid++)
		result = process_cpu_ms(*pid, &after_ms);
	if (result == 0)
		printf("cpu_ms %.3f\n", after_ms - before_ms);
	return result;
}

int meter_weigh(char **argv)
{
	long long seconds = 0;
	const struct opt opts[] = {
		{'s', "seconds", OPT_TYPE_INT, &seconds, "N", "watch the CPU time for so long", 0,
		 3600},
		OPT_END,
	};
	const struct opt_parser parser = {"meter weigh [OPTION]... PID...", "", opts, false};
	struct weight weight = {0};
	enum opt_outcome outcome;
	struct err err = {0};
	char **pids;
	int result;

	if (opt_parse(&parser, argv, &pids, NULL, &outcome, &err) < 0 ||
	    (outcome == OPT_OUTCOME_RUN && strv_length(pids) == 0)) {
		fprintf(stderr, "meter weigh: %s\n", err.errnum ? err.text : parser.usage);
		return 1;
	}
	if (outcome == OPT_OUTCOME_DONE)
		return 0;
	result = seconds > 0 ? processes_cpu(pids, seconds) : 0;
	for (char **pid = pids; *pid && result == 0; pid++)
		result = process_weigh(*pid, &weight);
	if (result < 0) {
		fprintf(stderr, "meter weigh: %s\n", strerror(-result));
		return 1;
	}
	printf("pss_kib %lu\nrss_kib %lu\nguest_kib %lu\n", weight.pss_kib, weight.rss_kib,
	       weight.guest_kib);
	return 0;
}
