/* SPDX-License-Identifier: Apache-2.0 */
#include "dirs.h"

#include <stdlib.h>

#include "mem.h"

char *dirs_state_of_user(void)
{
	const char *home = getenv("HOME");

	return mem_printf("%s/Library/Application Support/krun-api", home != NULL ? home : "");
}
