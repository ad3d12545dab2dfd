/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of the host that lead into the guest. */
#ifndef NET_PUBLISH_H
#define NET_PUBLISH_H

#include "base/err.h"
#include "machine/config.h"
#include "stack.h"
#include "wire/limits.h"

struct published {
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t guest_port;
	uint16_t host_port; /* the real one */
};

struct published_ports {
	size_t count;
	struct published items[LIMIT_PORTS];
};

/*
 * Binds them all, in order. The sentence names the address, the port and the protocol of the one
 * that failed. Ports below 1024 that this user may not bind: -EACCES.
 */
int publish_ports(struct stack *stack, const struct machine_ports *ports,
		  struct published_ports *ret_published, struct err *err) _must_check_;

bool published_has(const struct published_ports *published, uint8_t protocol, uint16_t guest_port);

#endif
