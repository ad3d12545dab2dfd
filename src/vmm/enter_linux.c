/* SPDX-License-Identifier: Apache-2.0 */
#include "enter.h"

#include <errno.h>
#include <sys/prctl.h>

#include "base/fd.h"

/* The supervisor started this process with PR_SET_PDEATHSIG, which an ordinary exec keeps. */
int enter_guard_exec(int link_fd, struct err *err)
{
	int r = fd_set_cloexec(link_fd, true);

	return r < 0 ? err_set_errno(err, -r, "cannot mark the supervisor's descriptor") : 0;
}

int enter_harden(struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set_errno(err, errno, "cannot give up setuid programs");
	return 0;
}
