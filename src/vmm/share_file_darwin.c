/* SPDX-License-Identifier: Apache-2.0 */
#include "share_file.h"

#include <errno.h>

int share_files_isolate(struct err *err)
{
	return err_set(err, ENOTSUP, "macOS has no mounts of one process");
}

int share_file_bind(const char *from, const char *to, bool read_only, struct err *err)
{
	(void)from;
	(void)to;
	(void)read_only;
	return err_set(err, ENOTSUP, "macOS has no bind mounts");
}

int share_files_seal(struct err *err)
{
	(void)err;
	return 0;
}
