/* SPDX-License-Identifier: Apache-2.0 */
#include "backend.h"

#include <string.h>
#include <sys/wait.h>

const struct backend *const backends[] = {
	&backend_libkrun,
	&backend_qemu,
	&backend_fake,
	NULL,
};

const struct backend *backend_find(const char *name)
{
	for (size_t i = 0; backends[i] != NULL; i++) {
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	}
	return NULL;
}

void backend_explain_status(const char *what, int status, const struct tail *messages,
			    struct buf *out)
{
	int r;

	if (WIFSIGNALED(status))
		r = buf_printf(out, "%s was ended by signal %d (%s)", what, WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 0)
		r = buf_printf(out, "the guest ended without reporting how");
	else
		r = buf_printf(out, "%s ended with status %d", what, WEXITSTATUS(status));
	if (r < 0 || messages->length == 0 || buf_append_string(out, ": ") < 0)
		return;
	(void)tail_write(messages, 1, out);
}
