/* SPDX-License-Identifier: Apache-2.0 */
/* A command to run in a machine: what a client asks for, and the beginning of its session. */
#ifndef API_EXEC_SPEC_H
#define API_EXEC_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "session.h"

struct exec_spec {
	char **cmd;           /* at least one */
	char **env;           /* over the machine's */
	char *workdir, *user; /* NULL: the machine's */
	char *input;          /* NULL: none */
	bool has_no_input;    /* nor will there be */
	long long timeout_s;
	bool tty;
	long long rows, columns; /* 0: unknown */
};

/*
 * Reads JSON over a spec that is zeroed or holds defaults; exec_spec_done() in any case. `streams`:
 * the client is connected to the command, so it may have a terminal, and `stdin` is not in here.
 * -EINVAL: malformed. -EDOM: a value outside its rules.
 */
int exec_spec_read(struct exec_spec *spec, bool streams, const char *text, size_t length,
		   struct err *err) _must_check_;
void exec_spec_done(struct exec_spec *spec);

/* Its session, with what the machine's own process has where the spec says nothing. As session_new(). */
int exec_spec_start(const struct exec_spec *spec, struct machine *machine,
		    const struct session_calls *calls, void *user, struct session **ret_session,
		    struct err *err) _must_check_;

#endif
