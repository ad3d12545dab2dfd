/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to the server, made without blocking: its unix socket, or the first of a host's
 * addresses that answers. Only the look-up of a host's name waits (as long as the resolver does).
 *
 * Life cycle: dial_begin; dial_step, again whenever `fd` is writable or DIAL_STEP_MS have passed,
 * until it hands the descriptor over; dial_done. The endpoint must outlive it.
 */
#ifndef CLI_DIAL_H
#define CLI_DIAL_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "endpoint.h"

#define DIAL_TIMEOUT_MS 10000 /* for all addresses of a host together */
#define DIAL_STEP_MS    250

struct addrinfo;

struct dial {
	const struct endpoint *endpoint;
	struct addrinfo *addresses, *next; /* TCP; `next` is the one to try after this */
	int fd;                            /* being connected; -1: none */
	int errnum;                        /* of the last address that failed */
	int64_t attempt_until_ms, until_ms;
};

/*
 * The sentences are for users: -ECONNREFUSED where nobody answers, -EACCES where the socket is
 * another user's, -ETIME. A dial that failed to begin needs no dial_done().
 */
int dial_begin(struct dial *dial, const struct endpoint *endpoint, struct err *err) _must_check_;

/* 1 and a non-blocking descriptor, 0: not yet, negative: nobody answered. */
int dial_step(struct dial *dial, int *ret_fd, struct err *err) _must_check_;

void dial_done(struct dial *dial);

/* dial_linux.c, dial_darwin.c: no SIGPIPE from this socket, which is the server's fault and not ours. */
int dial_prepare(int fd) _must_check_;
/* send(2); -EAGAIN, -EPIPE, ... */
ssize_t dial_send(int fd, const void *data, size_t length) _must_check_;

#endif
