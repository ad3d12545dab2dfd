/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of an HTTP/1.1 client as measuring needs: one blocking connection to a unix socket, whole requests out, whole
 * answers in, with a deadline. Only answers with a Content-Length are understood.
 */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <stddef.h>

#include "base/buf.h"
#include "base/macro.h"

#define HTTP_ANSWER_BYTES_MAX (8u << 20)

struct http_request {
	const char *method;
	const char *path;
	const char *type; /* of the body; NULL: application/json */
	const void *body;
	size_t body_bytes;
};

/* Connects; receiving and sending give up after METER_TIMEOUT_MS. */
int http_connect(const char *socket_path, int *ret_fd) _must_check_;
int http_send(int fd, const struct http_request *request) _must_check_;

/*
 * Reads the head of an answer . What came of the body already is appended to
 * `ret_body`. Returns the status or a negative errno; `ret_length` is -1 where no Content-Length is given.
 */
int http_read_head(int fd, struct buf *ret_body, long long *ret_length) _must_check_;

/* Reads one answer whole. The status or a negative errno. */
int http_read_answer(int fd, struct buf *ret_body) _must_check_;

#endif
