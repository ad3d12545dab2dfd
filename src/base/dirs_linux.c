/* SPDX-License-Identifier: Apache-2.0 */
#include "dirs.h"

#include <stdlib.h>

#include "mem.h"

char *dirs_state_of_user(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state != NULL && state[0] == '/')
		return mem_printf("%s/krun-api", state);
	return mem_printf("%s/.local/state/krun-api", home != NULL ? home : "");
}
