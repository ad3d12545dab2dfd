/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor of one machine, from its configuration to its exit record.
 *
 * It starts krun-net and the VM process, serves the control socket and the guest, writes the log,
 * keeps every deadline, and at the end leaves exit.json, tells its managers and takes its sockets
 * away. All that can happen to a machine is a table of state × event → action (supervisor.c).
 */
#ifndef VMM_SUPERVISOR_H
#define VMM_SUPERVISOR_H

#include "base/buf.h"
#include "machine/vmm_config.h"

/*
 * Runs the machine. `config_text` is what `config` was read from. Takes the listening control
 * socket. Returns an exit status: 0 when the end of the machine is on record, however it ended.
 */
int supervisor_run(const struct vmm_config *config, const struct buf *config_text, int control_fd);

#endif
