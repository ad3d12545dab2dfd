/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/types.h>

#include "cp_host.h"

struct timespec cp_host_mtime(const struct stat *st)
{
	return st->st_mtimespec;
}

void cp_host_device(const struct stat *st, struct wire_tar_entry *entry)
{
	entry->major = (uint32_t)major(st->st_rdev);
	entry->minor = (uint32_t)minor(st->st_rdev);
}
