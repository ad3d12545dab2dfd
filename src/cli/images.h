/* SPDX-License-Identifier: Apache-2.0 */
/* Sending an archive to the server. */
#ifndef CLI_IMAGES_H
#define CLI_IMAGES_H

#include <jansson.h>
#include <sys/types.h>

#include "base/err.h"
#include "client.h"
#include "progress.h"

struct images_upload {
	int fd;            /* of the archive; stays the caller's */
	const char *name;  /* NULL: those the archive says */
	const char *title; /* "importing TITLE" */
	struct progress *progress;
	/*
	 * Called at end of file, before the server is told that this was all; a negative errno with
	 * the error set breaks the upload off, so that half an archive is never taken for whole.
	 * May be NULL.
	 */
	int (*finish)(void *user, struct err *err);
	void *user;
};

/* `ret_image` is what the server answered: {"digest", "names", ...}. */
int images_upload(struct client *client, const struct images_upload *upload, json_t **ret_image,
		  struct err *err) _must_check_;

#endif
