/* SPDX-License-Identifier: Apache-2.0 */
#include "dirs.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

/* The user's own temporary directory has a name too long for a socket. */
char *dirs_socket(void)
{
	return mem_printf("/tmp/krun-api-%ld", (long)geteuid());
}

char *dirs_state(void)
{
	const char *home = getenv("HOME");

	if (geteuid() == 0)
		return mem_strdup("/var/lib/krun-api");
	return mem_printf("%s/Library/Application Support/krun-api", home != NULL ? home : "");
}
