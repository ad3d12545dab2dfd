/* SPDX-License-Identifier: Apache-2.0 */
#include "share_file.h"

#include "mount_linux.h"

int share_files_isolate(struct err *err)
{
	int r = mount_isolate();

	return r < 0 ? err_set_errno(err, -r, "cannot make a mount namespace") : 0;
}

int share_file_bind(const char *from, const char *to, bool read_only, struct err *err)
{
	int r = mount_bind(from, to, read_only);

	return r < 0 ? err_set_errno(err, -r, "cannot mount it at '%s'", to) : 0;
}

int share_files_seal(struct err *err)
{
	int r = mount_seal();

	return r < 0 ? err_set_errno(err, -r, "cannot give up the rights of a user namespace") : 0;
}
