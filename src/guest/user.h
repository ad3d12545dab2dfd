/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a process is to be: a user as Docker writes one ("name", "uid", "name:group", "uid:gid", and
 * mixtures), looked up in the passwd and group files of the root it runs in.
 *
 * These files are the image's: they may be anything. They are read line by line into a bounded buffer,
 * longer lines are skipped, what is not a regular file counts as absent. For a child of spawn.h.
 */
#ifndef GUEST_USER_H
#define GUEST_USER_H

#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "failure.h"

#define USER_GROUPS_MAX 64
#define USER_NAME_BYTES 255
#define USER_LINE_BYTES (16 * KIB)

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[USER_GROUPS_MAX]; /* supplementary */
	size_t group_count;
	char home[LIMIT_PATH_BYTES + 1];
};

/*
 * Rules, as Docker's: the first line whose name or number it is; a number need not be known, its group
 * is then 0; a group that is not given is the user's own, with those that list the user as
 * supplementary ones. 0, or -1 with the sentence.
 */
int user_resolve(const char *spec, const char *passwd_path, const char *group_path,
		 struct user *ret_user, struct failure *failure);

/* What tells that a file is the one that was read, and unchanged. All 0: there was none. */
struct user_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed;
};

/* The last answer. All 0: none. */
struct user_cache {
	char spec[USER_NAME_BYTES + 1];
	struct user_stamp passwd, group;
	struct user user;
};

/*
 * The same, and the files are not read again while they are unchanged. What has changed within the last
 * seconds is not kept: it could change again and look the same.
 */
int user_resolve_cached(struct user_cache *cache, const char *spec, const char *passwd_path,
			const char *group_path, struct user *ret_user, struct failure *failure);

#endif
