/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vminit: PID 1 of a guest. The order of what happens here is the design.
 */
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "failure.h"
#include "fd.h"
#include "mounts.h"
#include "platform.h"
#include "power.h"
#include "transport.h"

int main(void)
{
	int fd, r;

	/*
	 * Signals first: what is pending is seen later, what is lost is lost. The kernel protects
	 * PID 1 from signals without a handler, but not from itself.
	 */
	r = control_block_signals();
	/*
	 * The kernel may not have had a console yet to open descriptors 0 to 2 on; without this the
	 * first thing that is opened would become standard output.
	 */
	mounts_begin();
	fd_reserve_standard();
	/* The file system we came from, while it still is "/": it can tell the VM process our code. */
	power_begin();
	if (r < 0) {
		fprintf(stderr, "vminit: cannot read signals: %s\n", strerror(-r));
		power_end(CODE_SET_UP);
	}
	fd = transport_dial_control();
	if (fd < 0) {
		fprintf(stderr, "vminit: cannot reach the host: %s\n", strerror(-fd));
		power_end(CODE_SET_UP);
	}
	/* From here on every failure is told to the host, and none is a reason to return. */
	platform_end(control_run(fd));
}
