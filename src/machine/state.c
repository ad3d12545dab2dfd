/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/state.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char *const names[] = {
	[MACHINE_STATE_CREATED] = "created", [MACHINE_STATE_STARTING] = "starting",
	[MACHINE_STATE_RUNNING] = "running", [MACHINE_STATE_STOPPING] = "stopping",
	[MACHINE_STATE_STOPPED] = "stopped", [MACHINE_STATE_FAILED] = "failed",
};

static_assert(ARRAY_SIZE(names) == MACHINE_STATE_COUNT, "every state has a name");

#define TO(state) (1U << MACHINE_STATE_##state)

static const unsigned moves[MACHINE_STATE_COUNT] = {
	[MACHINE_STATE_CREATED] = TO(STARTING),
	/* Stopped: a stop that was asked for before the machine was up. */
	[MACHINE_STATE_STARTING] = TO(RUNNING) | TO(STOPPING) | TO(STOPPED) | TO(FAILED),
	[MACHINE_STATE_RUNNING] = TO(STOPPING) | TO(STOPPED) | TO(FAILED),
	[MACHINE_STATE_STOPPING] = TO(STOPPED) | TO(FAILED),
	[MACHINE_STATE_STOPPED] = TO(STARTING),
	[MACHINE_STATE_FAILED] = TO(STARTING),
};

const char *machine_state_name(enum machine_state state)
{
	assert((size_t)state < ARRAY_SIZE(names));
	return names[state];
}

int machine_state_parse(const char *name, enum machine_state *ret_state)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) == 0) {
			*ret_state = (enum machine_state)i;
			return 0;
		}
	}
	return -EINVAL;
}

bool machine_state_may_move(enum machine_state from, enum machine_state to)
{
	return (moves[from] & 1U << to) != 0;
}

bool machine_state_is_live(enum machine_state state)
{
	return state == MACHINE_STATE_STARTING || state == MACHINE_STATE_RUNNING ||
	       state == MACHINE_STATE_STOPPING;
}
