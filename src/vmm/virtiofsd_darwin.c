/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofsd.h"

#include <errno.h>

int virtiofsd_check(const struct plan *plan, struct err *err)
{
	if (plan->share_count == 0)
		return 0;
	return err_set(err, EINVAL,
		       "directories of the host can be shared with a guest of QEMU on Linux only: "
		       "use libkrun");
}

int virtiofsd_start(const struct plan *plan, int first_fd, struct err *err)
{
	(void)first_fd;
	return virtiofsd_check(plan, err);
}

void virtiofsd_clean(const struct plan *plan)
{
	(void)plan;
}
