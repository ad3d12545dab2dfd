/* SPDX-License-Identifier: Apache-2.0 */
#include "dirs.h"

#include <stdlib.h>
#include <unistd.h>

#include "mem.h"

char *dirs_socket(void)
{
	const char *run = getenv("XDG_RUNTIME_DIR"), *temporary = getenv("TMPDIR");

	if (run != NULL && run[0] == '/')
		return mem_printf("%s/krun-api", run);
	if (temporary == NULL || temporary[0] != '/')
		temporary = "/tmp";
	return mem_printf("%s/krun-api-%u", temporary, (unsigned)geteuid());
}

char *dirs_state(void)
{
	return geteuid() == 0 ? mem_strdup("/var/lib/krun-api") : dirs_state_of_user();
}
