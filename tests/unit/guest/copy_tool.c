/* SPDX-License-Identifier: Apache-2.0 */
/* For test_copy.py: the copier of the guest on standard descriptors. */
#include <stdio.h>
#include <string.h>

#include "copy.h"

static const struct {
	const char *name;
	struct copy_job job;
} jobs[] = {
	{"put", {.kind = WIRE_KIND_PUT}},
	{"get", {.kind = WIRE_KIND_GET}},
	{"entry", {.kind = WIRE_KIND_GET, .entry_only = true}},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 3 && i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		struct copy_job job = jobs[i].job;

		job.path = argv[2];
		if (strcmp(argv[1], jobs[i].name) == 0)
			return (int)copy_run(&job);
	}
	fprintf(stderr, "usage: copy_tool put|get|entry PATH\n");
	return 100;
}
