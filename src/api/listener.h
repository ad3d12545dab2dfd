/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets that clients connect to.
 *
 * listeners_open() binds everything or nothing. A unix socket's file is taken away again by
 * listeners_close().
 */
#ifndef API_LISTENER_H
#define API_LISTENER_H

#include <stdbool.h>

#include "base/err.h"

struct listener;
struct server;

/* Is any of the addresses TCP; is any of them reachable from other hosts? -EINVAL as address_parse. */
int listeners_check(char *const *addresses, bool *ret_tcp, bool *ret_public,
		    struct err *err) _must_check_;

int listeners_open(struct server *server, char *const *addresses, struct err *err) _must_check_;
void listeners_close(struct server *server);

#endif
