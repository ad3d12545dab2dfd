/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/mem.h"
#include "places.h"

char *place_state_dir_of_user(void)
{
	const char *state_home = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state_home != NULL && state_home[0] == '/')
		return mem_printf("%s/krun-api", state_home);
	return mem_printf("%s/.local/state/krun-api", home == NULL ? "" : home);
}
