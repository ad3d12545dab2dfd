/* SPDX-License-Identifier: Apache-2.0 */
#include "meter.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/macro.h"

static const struct {
	const char *name;
	int (*run)(char **argv);
	const char *help;
} subcommands[] = {
	{"http", meter_http, "time a request over one connection"},
	{"json", meter_json, "one value of a JSON document"},
	{"load", meter_load, "count answers per second over many connections"},
	{"follow", meter_follow, "hold many followers of a stream open"},
	{"session", meter_session, "time sessions of WebSocket exec"},
	{"spawn", meter_spawn, "time a command to its first output or its end"},
	{"weigh", meter_weigh, "memory beside guest RAM and CPU time of processes"},
};

double meter_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int double_compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

void meter_print(const char *name, double *values, size_t count)
{
	if (count == 0)
		return;
	qsort(values, count, sizeof(values[0]), double_compare);
	printf("%s %.3f %.3f\n", name, values[0], values[count / 2]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(subcommands); i++)
		if (strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argv + 1);
	for (size_t i = 0; i < ARRAY_SIZE(subcommands); i++)
		fprintf(stderr, "meter %-8s %s\n", subcommands[i].name, subcommands[i].help);
	return 1;
}
