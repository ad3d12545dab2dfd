/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file or tree of this host as the bytes of an archive, made as they are asked for.
 *
 * Names of one file are hard links, holes are kept, sockets are left out with a word. What cannot be
 * read, and a file that becomes shorter while it is read, ends it: half a tree is none. A file that
 * becomes longer is cut at the length that it had.
 */
#ifndef CLI_CP_TREE_H
#define CLI_CP_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macro.h"

struct cp_tree;

struct cp_tree_options {
	const char *path;
	const char *name; /* in the archive, in the place of the path: one part */
	bool follow;      /* where the path itself is a symbolic link */
	bool keep_owners; /* else everything is root's */
};

/* The strings are copied. */
int cp_tree_new(const struct cp_tree_options *options, struct cp_tree **ret_tree,
		struct err *err) _must_check_;
void cp_tree_free(struct cp_tree *tree);

/* A source for client_begin(): up to `length` bytes, 0 at the end, negative: cp_tree_error(). */
ssize_t cp_tree_read(void *tree, char *data, size_t length) _must_check_;
const struct err *cp_tree_error(const struct cp_tree *tree);

static inline void cleanup_cp_tree(struct cp_tree **tree)
{
	cp_tree_free(*tree);
}
#define _cleanup_cp_tree_ _cleanup_(cleanup_cp_tree)

#endif
