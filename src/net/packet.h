/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet, ARP, IPv4, IPv6, TCP, UDP and ICMP headers by their offsets, and what the gate found out
 * about a packet. Headers are read byte by byte: a frame has no alignment.
 */
#ifndef NET_PACKET_H
#define NET_PACKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MAC_BYTES 6

/* Ethernet */
#define ETHER_TARGET_AT  0
#define ETHER_SOURCE_AT  6
#define ETHER_TYPE_AT    12
#define ETHER_HEAD_BYTES 14
#define ETHER_TYPE_IP4   0x0800
#define ETHER_TYPE_ARP   0x0806
#define ETHER_TYPE_IP6   0x86dd
#define ETHER_FRAME_MIN  60 /* without the checksum at its end */

/* ARP for IPv4 over Ethernet (RFC 826), from the start of its own header */
#define ARP_BYTES         28
#define ARP_OPERATION_AT  6
#define ARP_SENDER_MAC_AT 8
#define ARP_SENDER_AT     14
#define ARP_TARGET_MAC_AT 18
#define ARP_TARGET_AT     24
#define ARP_REQUEST       1
#define ARP_REPLY         2

/* IPv4 (RFC 791) */
#define IP4_HEAD_BYTES     20
#define IP4_LENGTH_AT      2
#define IP4_FRAGMENT_AT    6
#define IP4_TTL_AT         8
#define IP4_PROTOCOL_AT    9
#define IP4_CHECKSUM_AT    10
#define IP4_SOURCE_AT      12
#define IP4_TARGET_AT      16
#define IP4_MORE_FRAGMENTS 0x2000
#define IP4_FRAGMENT_MASK  0x1fff

/* IPv6 (RFC 8200) */
#define IP6_HEAD_BYTES 40
#define IP6_LENGTH_AT  4
#define IP6_NEXT_AT    6
#define IP6_HOPS_AT    7
#define IP6_SOURCE_AT  8
#define IP6_TARGET_AT  24

/* TCP (RFC 9293) */
#define TCP_HEAD_BYTES  20
#define TCP_SEQUENCE_AT 4
#define TCP_ACK_AT      8
#define TCP_OFFSET_AT   12
#define TCP_FLAGS_AT    13
#define TCP_CHECKSUM_AT 16
#define TCP_URGENT_AT   18
#define TCP_FIN         0x01
#define TCP_SYN         0x02
#define TCP_RST         0x04
#define TCP_ACK         0x10
#define TCP_URG         0x20

/* UDP (RFC 768) */
#define UDP_HEAD_BYTES  8
#define UDP_LENGTH_AT   4
#define UDP_CHECKSUM_AT 6

/* ICMP (RFC 792) and ICMPv6 (RFC 4443, RFC 4861) */
#define ICMP_HEAD_BYTES          8
#define ICMP_CHECKSUM_AT         2
#define ICMP_ID_AT               4
#define ICMP_TYPE_UNREACHABLE    3
#define ICMP_TYPE_ECHO           8
#define ICMP_CODE_PROHIBITED     13
#define ICMP6_TYPE_UNREACHABLE   1
#define ICMP6_TYPE_ECHO          128
#define ICMP6_TYPE_ROUTER_ADVERT 134
#define ICMP6_TYPE_SOLICIT       135
#define ICMP6_TYPE_ADVERT        136
#define ICMP6_TYPE_REDIRECT      137
#define ICMP6_CODE_PROHIBITED    1

/* Either side of a conversation. IPv4 addresses are written as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). */
struct packet {
	struct in6_addr remote;
	uint16_t remote_port; /* 0 where there are no ports */
	uint16_t guest_port;  /* ICMP echo: its identifier */
	uint8_t protocol;     /* IPPROTO_TCP, _UDP, _ICMP, _ICMPV6, or what else the header says */
	uint8_t tcp_flags;
	bool is_ip6;
	size_t head_at;    /* of the TCP, UDP or ICMP header in the frame */
	size_t payload_at; /* behind that header */
	size_t length;     /* of the frame, padding cut off */
};

static inline uint16_t get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void put_be16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline void put_be32(uint8_t *p, uint32_t value)
{
	put_be16(p, (uint16_t)(value >> 16));
	put_be16(p + 2, (uint16_t)value);
}

/* `address4` is four bytes in network order. */
static inline struct in6_addr address_from4(const void *address4)
{
	struct in6_addr address = {0};

	address.s6_addr[10] = address.s6_addr[11] = 0xff;
	memcpy(&address.s6_addr[12], address4, 4);
	return address;
}

static inline bool address_is_equal(const struct in6_addr *a, const struct in6_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

#endif
