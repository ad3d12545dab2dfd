/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control connection and the life of a machine, from the host's point of view:
 *
 *	CONFIGURING	HELLO is sent; the host's HELLO and CONFIG are awaited
 *	STARTING	the workload is between fork and exec
 *	RUNNING		READY is sent
 *	STOPPING	the workload has got its stop signal: until the timeout. The network still works
 *	KILLING		everything has got SIGKILL: reap, send what was printed
 *	FLUSHING	EXITED is queued: until the transport has it, on virtio-serial the host
 *	OVER
 *
 *	from		on						to
 *	CONFIGURING	CONFIG, set up and forked			STARTING
 *	CONFIGURING	set-up failed, no CONFIG in time		KILLING
 *	STARTING	exec worked					RUNNING
 *	any of these	SHUTDOWN, end of file				STOPPING (KILLING: timeout 0, no workload)
 *	STARTING on	exec failed, the workload ended			KILLING
 *	STOPPING	timeout						KILLING
 *	KILLING		nothing is left, or a deadline			FLUSHING
 *	FLUSHING	delivered, or a deadline				OVER
 *
 * Every state but RUNNING has a deadline. After set-up nothing here can fail.
 */
#ifndef GUEST_CONTROL_H
#define GUEST_CONTROL_H

#include <stdint.h>

/*
 * Blocks every signal and prepares to read them instead. To be called before anything else can have
 * a child. -errno.
 */
int control_block_signals(void);

/* Takes the connection over. Returns, when the machine is to end, the code it ends with. */
uint32_t control_run(int fd);

#endif
