/* SPDX-License-Identifier: Apache-2.0 */
/* Which resolvers the host uses (resolv.conf(5)), or those that the machine's owner named. */
#ifndef NET_RESOLV_H
#define NET_RESOLV_H

#include <sys/socket.h>

#include "base/err.h"
#include "wire/limits.h"

#define RESOLV_PATH "/etc/resolv.conf"

struct resolvers {
	size_t count;
	struct sockaddr_storage items[LIMIT_DNS_SERVERS]; /* with port 53 */
};

/* The addresses given, at least one and at most LIMIT_DNS_SERVERS. -EINVAL with the bad one. */
int resolvers_from_list(char *const *addresses, struct resolvers *ret_resolvers,
			struct err *err) _must_check_;

/*
 * The first "nameserver" lines of a file; what is not an address is skipped. None at all, or no
 * file: -ENOENT.
 */
int resolvers_from_file(const char *path, struct resolvers *ret_resolvers,
			struct err *err) _must_check_;

#endif
