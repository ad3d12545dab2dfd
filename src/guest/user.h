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

#endif
