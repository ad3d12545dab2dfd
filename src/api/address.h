/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where to listen, as written after --listen:
 *
 *	8080  :8080  localhost:8080	loopback, IPv4 and IPv6
 *	127.0.0.1:8080  [::1]:8080	that address
 *	unix:///run/krun/api.sock	a unix socket, mode 0600
 *
 * Pure: nothing is looked up.
 */
#ifndef API_ADDRESS_H
#define API_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/fd.h"

enum address_kind {
	ADDRESS_UNIX,
	ADDRESS_LOOPBACK, /* both loopback addresses, `port` */
	ADDRESS_INET4,
	ADDRESS_INET6,
};

struct address {
	enum address_kind kind;
	char path[FD_UNIX_PATH_BYTES_MAX];
	uint16_t port; /* 0: the kernel chooses */
	struct in_addr inet4;
	struct in6_addr inet6;
};

/* -EINVAL with a sentence that quotes the text. */
int address_parse(const char *text, struct address *ret_address, struct err *err) _must_check_;

/* Reachable from this host alone. */
bool address_is_local(const struct address *address);

/* The two socket addresses of ADDRESS_LOOPBACK, else the one; not for ADDRESS_UNIX. */
size_t address_sockets(const struct address *address, struct sockaddr_storage ret_sockets[2]);

/*
 * May a request with this Host header ("name", "name:port", "[v6]:port") be meant for a server
 * that listens on TCP? A page of a foreign site reaches us only under a name of its own (DNS
 * rebinding), so: any address literal, localhost and names below it, and `own_name` when not NULL.
 */
bool address_host_is_ours(const char *host, const char *own_name);

#endif
