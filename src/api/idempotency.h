/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idempotency-Key of POST /v1/machines: a call that is repeated, because its answer was lost, makes
 * nothing again.
 *
 *	the key			the same call		another call
 *	is not known		goes on
 *	is in progress		409			422
 *	made a machine		the first answer	422
 *
 * The key is written with the machine's row, so there is never one without the other; the answer
 * follows. Where that was lost with this process, the machine is shown as it is now. A call that was
 * refused before it made a machine leaves its key free. Keys are kept for ANSWER_KEPT_S, and the
 * newest ANSWERS_MAX of them.
 */
#ifndef API_IDEMPOTENCY_H
#define API_IDEMPOTENCY_H

#include <stdbool.h>

struct request;
struct server;
struct store_answer;

/* The key of a request that has one. False: it was answered. */
bool idempotency_begin(struct request *request) __attribute__((warn_unused_result));

/* What to write with the machine's row; NULL: the request has no key. Lives as long as the request. */
const struct store_answer *idempotency_row(const struct request *request, const char *machine_id);

#endif
