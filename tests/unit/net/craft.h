/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as a guest sends them, whole and right; tests then break them. */
#ifndef TEST_CRAFT_H
#define TEST_CRAFT_H

#include "packet.h"

#define CRAFT_MAC         "\x52\x54\x00\x12\x34\x56"
#define CRAFT_MAC_TEXT    "52:54:00:12:34:56"
#define CRAFT_GATEWAY_MAC "\x52\x55\xc0\xa8\x7f\x01"

#define CRAFT_IP    ETHER_HEAD_BYTES
#define CRAFT_HEAD4 (ETHER_HEAD_BYTES + IP4_HEAD_BYTES)
#define CRAFT_HEAD6 (ETHER_HEAD_BYTES + IP6_HEAD_BYTES)

struct craft {
	uint8_t frame[65600];
	size_t length;
};

struct craft_tcp {
	uint16_t from, to;
	uint8_t flags;
	uint32_t sequence, ack;
};

/* `target` is an IPv4 or IPv6 address as text; the source is the guest's. */
void craft_tcp(struct craft *craft, const char *target, const struct craft_tcp *tcp,
	       const void *data, size_t length);
void craft_udp(struct craft *craft, const char *target, uint16_t from, uint16_t to,
	       const void *data, size_t length);
void craft_echo(struct craft *craft, const char *target, uint16_t id);
void craft_ip(struct craft *craft, const char *target, uint8_t protocol, const void *data,
	      size_t length);
void craft_arp_request(struct craft *craft, const char *target);
void craft_solicit(struct craft *craft, const char *source, const char *wanted);

/* Makes every checksum right again after a change. */
void craft_mend(struct craft *craft);

/* Are the checksums of a frame right? Written apart from what it tests. */
bool craft_is_right(const uint8_t *frame, size_t length);

#endif
