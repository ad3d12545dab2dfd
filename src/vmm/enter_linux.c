/* SPDX-License-Identifier: Apache-2.0 */
#include "enter.h"

#include "base/fd.h"

/* The supervisor started this process with PR_SET_PDEATHSIG, which an ordinary exec keeps. */
int enter_guard_exec(int link_fd, struct err *err)
{
	int r = fd_set_cloexec(link_fd, true);

	return r < 0 ? err_set_errno(err, -r, "cannot mark the supervisor's descriptor") : 0;
}
