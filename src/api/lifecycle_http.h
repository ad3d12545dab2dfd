/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a machine, waiting for it and answering: what several handlers do. */
#ifndef API_LIFECYCLE_HTTP_H
#define API_LIFECYCLE_HTTP_H

#include <stdbool.h>

#include "base/err.h"
#include "waiter.h"

struct machine;
struct query_field;
struct request;

struct start_query {
	bool start;
	const char *wait;
	long long timeout_ms;
};

/* The query of a call that may start a machine, by its fields in struct start_query. -EINVAL. */
int start_query_read(const struct request *request, const struct query_field *fields,
		     struct start_query *query, struct err *err) _must_check_;

/* Starts it and answers, at once or when it is ready. */
void start_and_reply(struct request *request, struct machine *machine,
		     const struct start_query *query, int status);

/* Answers with the machine once it is so, or with an error that says why it is not. */
void wait_and_reply(struct request *request, struct machine *machine, enum wait_target target,
		    long long timeout_ms);

#endif
