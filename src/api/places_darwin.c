/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/mem.h"
#include "places.h"

char *place_state_dir_of_user(void)
{
	const char *home = getenv("HOME");

	return mem_printf("%s/Library/Application Support/krun-api", home == NULL ? "" : home);
}
