/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/sysmacros.h>

#include "cp_host.h"

struct timespec cp_host_mtime(const struct stat *st)
{
	return st->st_mtim;
}

void cp_host_device(const struct stat *st, struct wire_tar_entry *entry)
{
	entry->major = major(st->st_rdev);
	entry->minor = minor(st->st_rdev);
}
