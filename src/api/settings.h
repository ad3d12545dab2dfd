/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What krun-api was told: the command line, then the file of --config, then defaults. The file is a
 * JSON object whose members are named like the options ("state_dir" for --state-dir).
 */
#ifndef API_SETTINGS_H
#define API_SETTINGS_H

#include "base/err.h"
#include "base/log.h"
#include "base/opt.h"

struct settings {
	char **listen;                /* strv; never empty */
	char *state_dir, *socket_dir; /* absolute */
	char *token_file;             /* NULL: the state directory's own */
	char *backend;
	enum log_level log_level;

	/* Programs and files; absolute where they were found. */
	char *vmm_path, *net_path, *image_path, *vminit_path, *boot_disk_path;
	char *libkrun_path, *libkrunfw_path, *qemu_path; /* NULL: krun-vmm looks for them */
};

/* -EINVAL with a sentence. settings_done() in any case. */
int settings_read(struct settings *settings, char **argv, enum opt_outcome *ret_outcome,
		  struct err *err) _must_check_;
void settings_done(struct settings *settings);

#endif
