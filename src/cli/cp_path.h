/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operands of krunctl cp, and what docker's rules make of the ends of paths. Pure.
 *
 *	NAME:PATH	in a machine; PATH is absolute, or seen from its root
 *	PATH		here; one with a colon is written with a slash in front of it: ./a:b
 *	-		standard input or output
 */
#ifndef CLI_CP_PATH_H
#define CLI_CP_PATH_H

#include <stdbool.h>

#include "base/err.h"
#include "base/macro.h"

struct cp_place {
	char *machine; /* NULL: here */
	char *path;    /* of a machine: absolute; never empty */
	bool is_stream;
};

int cp_place_parse(const char *text, struct cp_place *ret_place, struct err *err) _must_check_;
void cp_place_done(struct cp_place *place);
#define _cleanup_cp_place_ _cleanup_(cp_place_done)

/* The contents of the directory and not the directory: it ends in "/.", is "." or is the root. */
bool cp_path_is_contents(const char *path);
/* Ends in a slash: only a directory will do. */
bool cp_path_has_slash(const char *path);

/*
 * Without what follows the last part: "/a/b//" is "/a/b", "/." is "/". On the heap, as the parts of
 * it: directory and last part, "." and "b" of "b". The root has no last part: "".
 */
char *cp_path_trim(const char *path) _must_check_;
char *cp_path_directory(const char *trimmed) _must_check_;
char *cp_path_name(const char *trimmed) _must_check_;

/* Where a symbolic link at `path` leads. */
char *cp_path_follow(const char *path, const char *target) _must_check_;

#endif
