/* SPDX-License-Identifier: Apache-2.0 */
/* Calls about one machine or all of them that more than one command makes. */
#ifndef CLI_MACHINES_H
#define CLI_MACHINES_H

#include <jansson.h>

#include "base/err.h"
#include "client.h"
#include "progress.h"

/* Appends every machine, page by page. `state` and `labels` (strv) may be NULL. */
int machines_list(struct client *client, const char *state, char *const *labels, json_t *machines,
		  struct err *err) _must_check_;

int machines_get(struct client *client, const char *name, json_t **ret_machine,
		 struct err *err) _must_check_;

/* Longest that machines_stop() waits beyond the time the workload is given. */
#define MACHINES_STOP_SLACK_S 75

/* What a stop asks for; signal NULL and timeout_s < 0: what the machine's config says. */
struct machines_stop {
	const char *signal;
	long long timeout_s;
};

/* The body of a stop on the heap. */
char *machines_stop_body(const struct machines_stop *stop) _must_check_;
/*
 * How long a stop or a restart may take at the client: what the workload is given, by the stop or by
 * the machine's config, and the slack.
 */
int machines_stop_timeout(struct client *client, const char *name, const struct machines_stop *stop,
			  int64_t *ret_timeout_ms, struct err *err) _must_check_;
/* Ticks `progress`, which may have no step. */
int machines_stop(struct client *client, const char *name, const struct machines_stop *stop,
		  struct progress *progress, struct err *err) _must_check_;

int machines_remove(struct client *client, const char *name, bool force,
		    struct err *err) _must_check_;

/*
 * Waits until the machine is at rest, stopped or failed, at most `timeout_s`: -ETIMEDOUT then. Longer
 * waits than a server grants are several calls of this.
 */
int machines_await_end(struct client *client, const char *name, long long timeout_s,
		       json_t **ret_machine, struct err *err) _must_check_;

/*
 * Exit code of a machine that is over, as a shell has it: 128 + signal for a signal; 125 where there
 * is none because it was lost.
 */
int machines_exit_code(json_t *machine) _must_check_;

/*
 * "127.0.0.1:8080->80/tcp, ...", on the heap: published ports as they are, before a first start as
 * they were asked for. NULL: none.
 */
char *machines_ports_text(json_t *machine) _must_check_;

#endif
