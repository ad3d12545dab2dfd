/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What krun-vmm tells krun-net on its standard input, as JSON; and the addresses of the network,
 * which are the same in every machine.
 */
#ifndef MACHINE_NET_CONFIG_H
#define MACHINE_NET_CONFIG_H

#include <stdint.h>

#include "machine/config.h"
#include "wire/limits.h"

#define NET_ADDRESS       "192.168.127.0"
#define NET_PREFIX_BITS   24
#define NET_GATEWAY       "192.168.127.1" /* and DNS */
#define NET_GUEST         "192.168.127.2"
#define NET_GUEST_CIDR    "192.168.127.2/24"
#define NET_HOST_LOOPBACK "192.168.127.254"
#define NET6_PREFIX       "fd00:6b72:756e::"
#define NET6_PREFIX_BITS  64
#define NET6_GATEWAY      "fd00:6b72:756e::1"
#define NET6_GUEST        "fd00:6b72:756e::2"
#define NET6_GUEST_CIDR   "fd00:6b72:756e::2/64"
#define NET_GATEWAY_MAC   "52:55:c0:a8:7f:01" /* libslirp's, from its IPv4 address */

struct net_config {
	char *mac; /* of the guest */
	struct machine_network network;
	struct machine_ports ports;
	long long mtu;
};

void net_config_init(struct net_config *config);
void net_config_done(struct net_config *config);
int net_config_parse(struct net_config *config, const char *text, size_t length,
		     struct err *err) _must_check_;
void net_config_write(struct jsonw *w, const struct net_config *config);

/* "aa:bb:cc:dd:ee:ff", the whole string. */
int mac_parse(const char *text, uint8_t ret_mac[6]) _must_check_;
void mac_format(const uint8_t mac[6], char ret_text[18]);

#endif
