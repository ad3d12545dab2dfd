/* SPDX-License-Identifier: Apache-2.0 */
#include "dirs.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

char *dirs_socket(void)
{
	const char *run = getenv("XDG_RUNTIME_DIR"), *temporary = getenv("TMPDIR");

	if (run != NULL && run[0] == '/')
		return mem_printf("%s/krun-api", run);
	if (geteuid() == 0)
		return mem_strdup("/run/krun-api");
	return mem_printf("%s/krun-api-%ld", temporary != NULL ? temporary : "/tmp",
			  (long)geteuid());
}

char *dirs_state(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return mem_strdup("/var/lib/krun-api");
	if (state != NULL && state[0] == '/')
		return mem_printf("%s/krun-api", state);
	return mem_printf("%s/.local/state/krun-api", home != NULL ? home : "");
}
