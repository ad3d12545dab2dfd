/* SPDX-License-Identifier: Apache-2.0 */
#include "craft.h"

#include <arpa/inet.h>
#include <stdlib.h>

static bool is_ip6(const uint8_t *frame)
{
	return get_be16(frame + ETHER_TYPE_AT) == ETHER_TYPE_IP6;
}

/* RFC 1071 word for word: 16 bits at a time. */
static uint32_t sum_words(uint32_t sum, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint16_t transport_sum(const uint8_t *frame, size_t length)
{
	const uint8_t *ip = frame + CRAFT_IP;
	size_t head = is_ip6(frame) ? CRAFT_HEAD6 : CRAFT_HEAD4;
	uint8_t protocol = is_ip6(frame) ? ip[IP6_NEXT_AT] : ip[IP4_PROTOCOL_AT];
	uint32_t sum = 0;

	if (protocol != IPPROTO_ICMP) {
		sum = is_ip6(frame) ? sum_words(0, ip + IP6_SOURCE_AT, 32)
				    : sum_words(0, ip + IP4_SOURCE_AT, 8);
		sum += protocol + (uint32_t)(length - head);
	}
	return (uint16_t)sum_words(sum, frame + head, length - head);
}

static size_t checksum_at(const uint8_t *frame)
{
	const uint8_t *ip = frame + CRAFT_IP;
	size_t head = is_ip6(frame) ? CRAFT_HEAD6 : CRAFT_HEAD4;

	switch (is_ip6(frame) ? ip[IP6_NEXT_AT] : ip[IP4_PROTOCOL_AT]) {
	case IPPROTO_TCP:
		return head + TCP_CHECKSUM_AT;
	case IPPROTO_UDP:
		return head + UDP_CHECKSUM_AT;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return head + ICMP_CHECKSUM_AT;
	default:
		return 0;
	}
}

void craft_mend(struct craft *craft)
{
	uint8_t *ip = craft->frame + CRAFT_IP;
	size_t at = checksum_at(craft->frame);

	if (!is_ip6(craft->frame)) {
		put_be16(ip + IP4_CHECKSUM_AT, 0);
		put_be16(ip + IP4_CHECKSUM_AT, (uint16_t)~sum_words(0, ip, IP4_HEAD_BYTES));
	}
	if (at == 0 || at + 2 > craft->length)
		return;
	put_be16(craft->frame + at, 0);
	put_be16(craft->frame + at, (uint16_t)~transport_sum(craft->frame, craft->length));
}

bool craft_is_right(const uint8_t *frame, size_t length)
{
	const uint8_t *ip = frame + CRAFT_IP;

	if (!is_ip6(frame)) {
		length = (size_t)CRAFT_IP + get_be16(ip + IP4_LENGTH_AT);
		if (sum_words(0, ip, IP4_HEAD_BYTES) != 0xffff)
			return false;
	}
	return transport_sum(frame, length) == 0xffff;
}

static void put_ether(struct craft *craft, const char *target, uint16_t type)
{
	memcpy(craft->frame + ETHER_TARGET_AT, target, MAC_BYTES);
	memcpy(craft->frame + ETHER_SOURCE_AT, CRAFT_MAC, MAC_BYTES);
	put_be16(craft->frame + ETHER_TYPE_AT, type);
}

void craft_ip(struct craft *craft, const char *target, uint8_t protocol, const void *data,
	      size_t length)
{
	uint8_t *ip = craft->frame + CRAFT_IP;

	memset(craft->frame, 0, CRAFT_HEAD6);
	if (inet_pton(AF_INET, target, ip + IP4_TARGET_AT) == 1) {
		put_ether(craft, CRAFT_GATEWAY_MAC, ETHER_TYPE_IP4);
		ip[0] = 0x45;
		put_be16(ip + IP4_LENGTH_AT, (uint16_t)(IP4_HEAD_BYTES + length));
		put_be16(ip + IP4_FRAGMENT_AT, 0x4000);
		ip[IP4_TTL_AT] = 64;
		ip[IP4_PROTOCOL_AT] = protocol;
		inet_pton(AF_INET, "192.168.127.2", ip + IP4_SOURCE_AT);
		craft->length = CRAFT_HEAD4 + length;
	} else {
		put_ether(craft, CRAFT_GATEWAY_MAC, ETHER_TYPE_IP6);
		ip[0] = 0x60;
		put_be16(ip + IP6_LENGTH_AT, (uint16_t)length);
		ip[IP6_NEXT_AT] = protocol;
		ip[IP6_HOPS_AT] = 64;
		inet_pton(AF_INET6, "fd00:6b72:756e::2", ip + IP6_SOURCE_AT);
		if (inet_pton(AF_INET6, target, ip + IP6_TARGET_AT) != 1)
			abort();
		craft->length = CRAFT_HEAD6 + length;
	}
	if (length > 0)
		memcpy(craft->frame + craft->length - length, data, length);
	craft_mend(craft);
}

void craft_tcp(struct craft *craft, const char *target, const struct craft_tcp *tcp,
	       const void *data, size_t length)
{
	static uint8_t segment[65536];

	memset(segment, 0, TCP_HEAD_BYTES);
	put_be16(segment, tcp->from);
	put_be16(segment + 2, tcp->to);
	put_be32(segment + TCP_SEQUENCE_AT, tcp->sequence);
	put_be32(segment + TCP_ACK_AT, tcp->ack);
	segment[TCP_OFFSET_AT] = 5 << 4;
	segment[TCP_FLAGS_AT] = tcp->flags;
	put_be16(segment + 14, 65535);
	if (length > 0)
		memcpy(segment + TCP_HEAD_BYTES, data, length);
	craft_ip(craft, target, IPPROTO_TCP, segment, TCP_HEAD_BYTES + length);
}

void craft_udp(struct craft *craft, const char *target, uint16_t from, uint16_t to,
	       const void *data, size_t length)
{
	static uint8_t datagram[65536];

	memset(datagram, 0, UDP_HEAD_BYTES);
	put_be16(datagram, from);
	put_be16(datagram + 2, to);
	put_be16(datagram + UDP_LENGTH_AT, (uint16_t)(UDP_HEAD_BYTES + length));
	if (length > 0)
		memcpy(datagram + UDP_HEAD_BYTES, data, length);
	craft_ip(craft, target, IPPROTO_UDP, datagram, UDP_HEAD_BYTES + length);
}

void craft_echo(struct craft *craft, const char *target, uint16_t id)
{
	uint8_t echo[ICMP_HEAD_BYTES + 8] = {0};
	bool v6 = strchr(target, ':') != NULL;

	echo[0] = v6 ? ICMP6_TYPE_ECHO : ICMP_TYPE_ECHO;
	put_be16(echo + ICMP_ID_AT, id);
	craft_ip(craft, target, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, echo, sizeof(echo));
}

void craft_arp_request(struct craft *craft, const char *target)
{
	uint8_t *arp = craft->frame + ETHER_HEAD_BYTES;

	memset(craft->frame, 0, ETHER_FRAME_MIN);
	put_ether(craft, "\xff\xff\xff\xff\xff\xff", ETHER_TYPE_ARP);
	memcpy(arp, "\0\1\x08\0\x06\x04\0\1", 8);
	memcpy(arp + ARP_SENDER_MAC_AT, CRAFT_MAC, MAC_BYTES);
	inet_pton(AF_INET, "192.168.127.2", arp + ARP_SENDER_AT);
	inet_pton(AF_INET, target, arp + ARP_TARGET_AT);
	craft->length = ETHER_FRAME_MIN;
}

void craft_solicit(struct craft *craft, const char *source, const char *wanted)
{
	uint8_t solicit[32] = {ICMP6_TYPE_SOLICIT};
	uint8_t *ip = craft->frame + CRAFT_IP;

	inet_pton(AF_INET6, wanted, solicit + 8);
	solicit[24] = solicit[25] = 1;
	memcpy(solicit + 26, CRAFT_MAC, MAC_BYTES);
	craft_ip(craft, "ff02::1:ff00:1", IPPROTO_ICMPV6, solicit, sizeof(solicit));
	memcpy(craft->frame + ETHER_TARGET_AT, "\x33\x33\xff\0\0\1", MAC_BYTES);
	inet_pton(AF_INET6, source, ip + IP6_SOURCE_AT);
	ip[IP6_HOPS_AT] = 255;
	craft_mend(craft);
}
