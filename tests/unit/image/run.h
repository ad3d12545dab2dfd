/* SPDX-License-Identifier: Apache-2.0 */
/* Runs imports in the test's process, and the tools of e2fsprogs on what they make. */
#ifndef TEST_IMAGE_RUN_H
#define TEST_IMAGE_RUN_H

#include "base/buf.h"
#include "fault.h"
#include "limits.h"

struct run {
	struct limits limits;
	const char *architecture;
	int output_fd;     /* of the last import */
	struct buf events; /* what it said */
	struct fault fault;
};

void run_init(struct run *run);
void run_done(struct run *run);

/* Imports the archive. */
enum fault_code run_import(struct run *run, const struct buf *archive);

/* Imports it, or fails the test with the sentence. */
void run_import_well(struct run *run, const struct buf *archive);

/* e2fsck -fn: fails the test with what it says. Skips the test where there is no e2fsck. */
void run_check(int fd);

/* What debugfs says to a request ("stat /x"), as a string that the caller frees. */
char *run_debugfs(int fd, const char *request);

#endif
