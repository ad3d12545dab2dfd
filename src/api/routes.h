/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call of the interface, in one table. docs/openapi.yaml says the same to its readers; a test
 * holds the two against each other.
 */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "http_parser.h"

struct request;

enum route_body {
	ROUTE_BODY_NONE,          /* one is refused */
	ROUTE_BODY_JSON,          /* read whole before the handler is called */
	ROUTE_BODY_JSON_OPTIONAL, /* the same, may be missing */
	ROUTE_BODY_STREAM,        /* an archive; goes to the handler as it comes */
	ROUTE_BODY_TAR,           /* the same, not compressed */
};

static inline bool route_body_streams(enum route_body body)
{
	return body == ROUTE_BODY_STREAM || body == ROUTE_BODY_TAR;
}

struct route {
	enum http_method method;
	const char *path; /* "/v1/machines/{id}"; a final "{image}" takes the rest of the path */
	const char *operation; /* operationId of the document */
	void (*handle)(struct request *request);
	enum route_body body;
	bool no_head; /* GET whose answer may take its time has no HEAD */
};

extern const struct route routes[];
extern const size_t route_count;

/*
 * Finds the route and its parameter, and checks what can be checked before the body comes. False
 * when the request was refused, and thereby answered.
 */
bool routes_find(struct request *request, const struct http_head *head) _must_check_;

const char *http_method_name(enum http_method method);

#endif
