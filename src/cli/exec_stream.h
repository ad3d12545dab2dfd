/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command in a machine with our own input, output and signals: the loop of `krunctl exec`.
 *
 * Messages are docs/openapi.yaml's: a channel byte and data. Nothing piles up: input is read only as
 * the server takes it, and the server is read only as our output is taken. A reader of our output
 * that goes away ends it as SIGPIPE would (141), quietly.
 *
 * With a terminal and input the terminal is raw (terminal.h): every key goes to the guest, a signal
 * that somebody sends us ends us and hangs the command up. Otherwise SIGINT, SIGTERM and SIGQUIT are
 * passed on; the third ends us.
 */
#ifndef CLI_EXEC_STREAM_H
#define CLI_EXEC_STREAM_H

#include <stdbool.h>

#include "base/err.h"
#include "client.h"

struct exec_stream {
	const char *path;  /* of the call */
	const char *first; /* the first message */
	bool interactive;  /* our input is the command's */
	bool tty;
	long long timeout_s; /* that the first message has, for the sentence */
};

/* The command's exit code, 128 + n where a signal ended it; negative where there is none. */
int exec_stream_run(struct client *client, const struct exec_stream *stream,
		    struct err *err) _must_check_;

#endif
