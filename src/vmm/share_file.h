/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single files of the host in a guest. virtiofs shares directories, so each of these files gets a
 * directory of its own below the machine's, in which nothing else is: a guest that has one file must
 * not see its neighbours. The file is put there as what it is, the same inode, so that each side sees
 * what the other one writes: as a hard link where the kernel allows one (same file system; the user's
 * own file, or one that the user may write), else bound there in a mount namespace of the VM process's
 * own (mounts.h), else the machine does not start.
 */
#ifndef VMM_SHARE_FILE_H
#define VMM_SHARE_FILE_H

#include "plan.h"

/*
 * In the VM process, before anything else of it has a thread: puts the plan's files in place. A
 * sentence with the way out when one of them cannot be. 0 without files.
 */
int share_files_place(const struct plan *plan, struct err *err) _must_check_;

/* After the end of the VM process: takes away what it left. */
void share_files_remove(const struct plan *plan);

#endif
