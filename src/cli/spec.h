/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people write short on a command line, made into what the API takes. The rules of the values
 * themselves are the server's; here only the shape is read. -EINVAL with a sentence that quotes.
 */
#ifndef CLI_SPEC_H
#define CLI_SPEC_H

#include <stdbool.h>

#include "base/err.h"
#include "machine/config.h"

/*
 * -p [[IP:]HOST:]GUEST[/tcp|/udp], appended. Without HOST a free port is chosen. An IPv6 address
 * stands in brackets.
 */
int spec_parse_port(const char *text, struct machine_ports *ports, struct err *err) _must_check_;

/*
 * -v SOURCE:GUEST[:ro|:rw], appended. As docker has it, a SOURCE with a slash is a directory or a file
 * of this host, made absolute, which must exist; so are "." and "..". Any other is a named volume.
 */
int spec_parse_volume(const char *text, struct machine_volumes *volumes,
		      struct err *err) _must_check_;

/* -e KEY=VALUE, or KEY for its value here (nothing where it has none). */
int spec_parse_env(const char *text, char ***env, struct err *err) _must_check_;

/*
 * --env-file: a line each as for -e; empty lines and those that begin with '#' are skipped. What is
 * set already stays.
 */
int spec_read_env_file(const char *path, char ***env, struct err *err) _must_check_;

/* --restart POLICY[:N]; N, how often at most, only for on-failure (0: as often as it takes). */
int spec_parse_restart(const char *text, struct machine_restart *restart,
		       struct err *err) _must_check_;

/* --label KEY=VALUE or KEY. */
int spec_parse_label(const char *text, char ***labels, struct err *err) _must_check_;

/*
 * Name for the image built from a directory: its last part in lower case, every run of characters
 * that a name may not have as one '-', and ":latest". "image:latest" where nothing is left.
 */
char *spec_image_name(const char *path) _must_check_;

enum spec_root {
	SPEC_ROOT_BUILD,   /* a directory, or the path of a Dockerfile */
	SPEC_ROOT_ARCHIVE, /* a file that is an archive by its name */
	SPEC_ROOT_IMAGE,   /* a name the server knows */
};

/* What PATH|IMAGE is, by what lies there. -ENOENT for what can only be a path and is not there. */
int spec_classify(const char *text, enum spec_root *ret_root, struct err *err) _must_check_;

#endif
