/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive that a machine made, as files of this host. The machine is not trusted: nothing is made
 * or changed outside of the directory, and in it only below the one name that was asked for.
 *
 * - A name with ".." in it, an absolute one, one of another root: the archive is refused.
 * - No symbolic link is followed below the directory, whether the archive made it or it was there.
 * - A file is written under a temporary name and renamed when it is whole. What had the name is
 *   replaced and never opened; a directory is not replaced by anything else, nor the other way round.
 * - Devices and pipes are left out with a word. Set-user-ID and set-group-ID bits are dropped unless
 *   owners are kept.
 *
 * Modes, times and holes are kept. A directory's mode and time are set when the archive leaves it.
 */
#ifndef CLI_CP_EXTRACT_H
#define CLI_CP_EXTRACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/macro.h"

struct cp_extract;

struct cp_extract_options {
	const char *directory; /* must exist; symbolic links in it are the user's own */
	const char *root;      /* first part of every name in the archive; ".": contents */
	const char
		*name; /* what it becomes; NULL (contents): nothing, they go into the directory */
	bool only_directory; /* the first entry must be one */
	bool keep_owners;
};

/* The strings are copied. */
int cp_extract_new(const struct cp_extract_options *options, struct cp_extract **ret_extract,
		   struct err *err) _must_check_;
/* Takes what is not whole away. */
void cp_extract_free(struct cp_extract *extract);

/* A sink for client_begin(): negative: cp_extract_error(). */
int cp_extract_feed(void *extract, const char *data, size_t length) _must_check_;
/* The archive has no more bytes. */
int cp_extract_end(struct cp_extract *extract, struct err *err) _must_check_;
const struct err *cp_extract_error(const struct cp_extract *extract);

static inline void cleanup_cp_extract(struct cp_extract **extract)
{
	cp_extract_free(*extract);
}
#define _cleanup_cp_extract_ _cleanup_(cleanup_cp_extract)

#endif
