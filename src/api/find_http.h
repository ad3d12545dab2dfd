/* SPDX-License-Identifier: Apache-2.0 */
/* What several handlers need of machines. */
#ifndef API_FIND_HTTP_H
#define API_FIND_HTTP_H

#include "base/err.h"
#include "base/jsonw.h"

struct machine;
struct request;

/* The machine that {id} stands for; NULL when there is none and the request was answered. */
struct machine *find_machine(struct request *request) _must_check_;

/* A machine as everybody sees it. */
void machine_write(struct jsonw *w, const char *name, const struct machine *machine);
void reply_machine(struct request *request, int status, const struct machine *machine);

/* The error that `errnum` of src/api's and src/machine's functions is over HTTP. */
void reply_errno(struct request *request, int r, const struct err *err);

#endif
