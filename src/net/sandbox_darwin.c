/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

/* <sandbox.h>, which no cross compiler has. Deprecated, and what macOS's own daemons use. */
int sandbox_init(const char *profile, uint64_t flags, char **ret_error);
void sandbox_free_error(char *error);

/* No files, no programs; sockets are what this process is for. */
static const char profile[] = "(version 1)"
			      "(allow default)"
			      "(deny file*)"
			      "(deny process-exec*)"
			      "(deny process-fork)"
			      "(deny mach-register)";

int sandbox_enter(struct err *err)
{
	char *text = NULL;

	if (sandbox_init(profile, 0, &text) == 0)
		return 0;
	err_set(err, EPERM, "krun-net cannot enter its sandbox: %s", text != NULL ? text : "?");
	sandbox_free_error(text);
	return -EPERM;
}
