/* SPDX-License-Identifier: Apache-2.0 */
/* From an image archive to an ext4 image: everything between the two open files. */
#ifndef IMAGE_IMPORT_H
#define IMAGE_IMPORT_H

#include "limits.h"
#include "oci.h"

struct import {
	int archive_fd; /* a regular file */
	int spool_fd;   /* empty; -1 where the archive is not compressed */
	int output_fd;
	const char *architecture; /* in OCI's words */
	const struct limits *limits;
	pid_t parent; /* the import ends when that is no longer the parent; 0: it does not ask */
};

/* Says how it goes on standard output (progress.h), the end included. */
int import_run(const struct import *import, struct fault *fault) _must_check_;

#endif
