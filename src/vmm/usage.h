/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process uses of this computer. Platform parts: usage_linux.c, usage_darwin.c.
 */
#ifndef VMM_USAGE_H
#define VMM_USAGE_H

#include <stdint.h>
#include <sys/types.h>

struct usage {
	uint64_t cpu_us; /* since it started, all threads, user and system */
	/* Shared pages by their share (PSS); macOS: what it is charged with (physical footprint). */
	uint64_t memory_bytes;
};

/* Adds what the process uses to `usage`. What cannot be told adds nothing. */
void usage_add(struct usage *usage, pid_t pid);

#endif
