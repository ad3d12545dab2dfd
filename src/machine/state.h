/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a machine and the moves between them. Nothing else assigns a state.
 *
 *	created -> starting -> running -> stopping -> stopped
 *	              \___________\__________\______> failed
 *
 * A stopped or failed machine may start again. `running` means that vminit reported ready, never
 * earlier. A machine whose workload ends by itself goes from running to stopped.
 */
#ifndef MACHINE_STATE_H
#define MACHINE_STATE_H

#include <stdbool.h>

#include "base/macro.h"

enum machine_state {
	MACHINE_STATE_CREATED,
	MACHINE_STATE_STARTING,
	MACHINE_STATE_RUNNING,
	MACHINE_STATE_STOPPING,
	MACHINE_STATE_STOPPED,
	MACHINE_STATE_FAILED,
};

#define MACHINE_STATE_COUNT 6

const char *machine_state_name(enum machine_state state);
int machine_state_parse(const char *name, enum machine_state *ret_state) _must_check_;

bool machine_state_may_move(enum machine_state from, enum machine_state to);

/* The machine has processes: starting, running, stopping. */
bool machine_state_is_live(enum machine_state state);

#endif
