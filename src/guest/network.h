/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces by rtnetlink (RFC 3549, rtnetlink(7)): static addresses, no DHCP, nothing from the image.
 */
#ifndef GUEST_NETWORK_H
#define GUEST_NETWORK_H

#include "failure.h"
#include "wire/message.h"

struct network_address {
	int family;
	uint8_t bytes[16];
	uint8_t prefix_bits;
};

/* "192.168.127.2/24", "fd00::2/64"; without a slash all bits. 0 or -EINVAL. */
int network_parse_address(const char *text, struct network_address *ret_address);

/* lo, and eth0 where the configuration has an address. 0, or -1 with the sentence. */
int network_set_up(const struct wire_config *config, struct failure *failure);

#endif
