/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a Dockerfile to an archive of an image, with the builder that is there: docker, podman or
 * buildah. The archive never lies on disk, it comes through a pipe.
 *
 * The build's own output goes to standard error as it comes. On a live screen there is the line of
 * progress instead, and all of the output when the build has failed, or where it is asked for.
 *
 * The image is tagged "krun-run/NAME" in the builder's own store, which is its cache of layers; no
 * tag of the user's is touched.
 */
#ifndef CLI_BUILD_H
#define CLI_BUILD_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/err.h"
#include "progress.h"

struct build {
	const char *builder;    /* NULL: the first that works */
	const char *path;       /* a directory, or a Dockerfile whose directory is meant */
	const char *dockerfile; /* NULL: Dockerfile or Containerfile in it */
	const char *image_name; /* "web:latest" */
	struct progress *progress;
	bool verbose; /* the builder's output as it comes, in any case */
};

struct build_output {
	const char *builder;
	pid_t pid;  /* 0: over */
	int fd;     /* archive, read end of a pipe; -1: closed */
	FILE *said; /* what the saving says while a live line stands; NULL: on standard error */
};

/* Builds, then starts the saving. */
int build_begin(const struct build *build, struct build_output *ret_output,
		struct err *err) _must_check_;

/* At end of file: has all of it been written? Fits images_upload's finish(). */
int build_finish(void *output, struct err *err) _must_check_;

/* Ends what still runs and closes; for a finished one, too. */
void build_done(struct build_output *output);

/* Name of the builder that would be used; the sentence says why there is none. */
int build_find(const char *wanted, const char **ret_builder, struct err *err) _must_check_;

#endif
