/* SPDX-License-Identifier: Apache-2.0 */
/* What this server counts of its own work; GET /metrics shows it with what machines use. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include <stdint.h>

#include "http_parser.h"

struct request;

#define METRICS_METHODS (HTTP_METHOD_OTHER + 1)
#define METRICS_CLASSES 5  /* 1xx to 5xx */
#define METRICS_BUCKETS 14 /* and one for all that took longer */

struct metrics {
	uint64_t requests[METRICS_METHODS][METRICS_CLASSES];
	uint64_t buckets[METRICS_BUCKETS + 1];
	uint64_t duration_ns;
};

/* The head of the answer to a request goes out. */
void metrics_answered(struct metrics *metrics, const struct request *request, int status);

#endif
