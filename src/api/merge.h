/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What really runs: the image's config and the machine's own, merged as Docker does. exec_path takes
 * the place of Entrypoint, and then Cmd does not count; args take the place of Cmd; env is laid over
 * Env; workdir, user and the stop's signal win over the image's. Without a PATH there is the usual
 * one.
 */
#ifndef API_MERGE_H
#define API_MERGE_H

#include "base/err.h"
#include "machine/config.h"

#define MERGE_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct merged {
	char **exec; /* at least one */
	char **env;
	char *workdir;     /* NULL: "/" */
	char *user;        /* NULL: root */
	char *stop_signal; /* never NULL */
};

/*
 * `image_config` is the image's JSON, NULL for a machine without an image. -EDOM when nothing is
 * there to run, or arguments and environment do not fit into a message to the guest.
 */
int merge(const struct machine_config *config, const char *image_config, struct merged *ret_merged,
	  struct err *err) _must_check_;
void merged_done(struct merged *merged);

/* Does a process with these fit into a message? -EDOM. */
int merge_check_size(char *const *exec, char *const *env, const char *workdir, const char *user,
		     struct err *err) _must_check_;

#endif
