/* SPDX-License-Identifier: Apache-2.0 */
#include "places.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

char *place_state_dir(void)
{
	return geteuid() == 0 ? mem_strdup("/var/lib/krun-api") : place_state_dir_of_user();
}

char *place_socket_dir(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR"), *temporary = getenv("TMPDIR");

	if (runtime != NULL && runtime[0] == '/')
		return mem_printf("%s/krun-api", runtime);
	if (temporary == NULL || temporary[0] != '/')
		temporary = "/tmp";
	return mem_printf("%s/krun-api-%u", temporary, (unsigned)geteuid());
}
