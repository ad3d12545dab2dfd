/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "sandbox.h"

/* <sandbox.h> of macOS; its name is ours here. Deprecated for a decade, used by all browsers. */
int sandbox_init(const char *profile, uint64_t flags, char **errorbuf);
void sandbox_free_error(char *errorbuf);

static const char profile[] = "(version 1)\n"
			      "(allow default)\n"
			      "(deny network*)\n"
			      "(deny file-read* file-write*)\n"
			      "(deny process-exec* process-fork)\n"
			      "(deny mach-lookup)\n";

int sandbox_enter(struct fault *fault)
{
	char *text = NULL;

	if (sandbox_init(profile, 0, &text) == 0)
		return 0;
	fault_set(fault, FAULT_INTERNAL, "cannot enter the sandbox: %s",
		  text != NULL ? text : "no reason given");
	sandbox_free_error(text);
	return -1;
}
