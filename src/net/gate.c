/* SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"

#include <arpa/inet.h>
#include <assert.h>

#include "checksum.h"
#include "machine/net_config.h"

/*
 * Ports that libslirp (or an older one) treats itself: BOOTP, TFTP, DHCPv6. Nothing here uses them:
 * the machine's addresses are given to it by other means.
 */
static const uint16_t closed_udp_ports[] = {67, 68, 69, 546, 547};

static const uint8_t arp_head[] = {0, 1, 8, 0, 6, 4}; /* Ethernet, IPv4, 6 and 4 bytes */

void gate_init(struct gate *gate, const uint8_t guest_mac[MAC_BYTES], size_t mtu)
{
	*gate = (struct gate){.frame_bytes_max = mtu + ETHER_HEAD_BYTES};
	static_assert(LIMIT_MTU + ETHER_HEAD_BYTES <= LIMIT_FRAME_BYTES, "fits into a frame");
	assert(mtu <= LIMIT_MTU);
	memcpy(gate->guest_mac, guest_mac, MAC_BYTES);
	if (mac_parse(NET_GATEWAY_MAC, gate->gateway_mac) < 0 ||
	    inet_pton(AF_INET, NET_GUEST, gate->guest4) != 1 ||
	    inet_pton(AF_INET, NET_GATEWAY, gate->gateway4) != 1 ||
	    inet_pton(AF_INET, NET_HOST_LOOPBACK, gate->loopback4) != 1 ||
	    inet_pton(AF_INET6, NET6_GUEST, &gate->guest6) != 1 ||
	    inet_pton(AF_INET6, NET6_GATEWAY, &gate->gateway6) != 1)
		abort();
}

static void put_ether(const uint8_t *target, const uint8_t *source, uint16_t type, uint8_t *frame)
{
	memcpy(frame + ETHER_TARGET_AT, target, MAC_BYTES);
	memcpy(frame + ETHER_SOURCE_AT, source, MAC_BYTES);
	put_be16(frame + ETHER_TYPE_AT, type);
}

static void put_ip4(uint8_t *ip, uint8_t protocol, const uint8_t source[4], const uint8_t target[4],
		    size_t payload_length)
{
	uint16_t checksum;

	memset(ip, 0, IP4_HEAD_BYTES);
	ip[0] = 0x45;
	put_be16(ip + IP4_LENGTH_AT, (uint16_t)(IP4_HEAD_BYTES + payload_length));
	ip[IP4_TTL_AT] = 64;
	ip[IP4_PROTOCOL_AT] = protocol;
	memcpy(ip + IP4_SOURCE_AT, source, 4);
	memcpy(ip + IP4_TARGET_AT, target, 4);
	checksum = checksum_fold(checksum_add(0, ip, IP4_HEAD_BYTES));
	memcpy(ip + IP4_CHECKSUM_AT, &checksum, 2);
}

static void put_ip6(uint8_t *ip, uint8_t protocol, const void *source, const void *target,
		    size_t payload_length)
{
	memset(ip, 0, IP6_HEAD_BYTES);
	ip[0] = 0x60;
	put_be16(ip + IP6_LENGTH_AT, (uint16_t)payload_length);
	ip[IP6_NEXT_AT] = protocol;
	/* 255 is what neighbour discovery demands, and good for everything else. */
	ip[IP6_HOPS_AT] = 255;
	memcpy(ip + IP6_SOURCE_AT, source, 16);
	memcpy(ip + IP6_TARGET_AT, target, 16);
}

/* Sum over the pseudo header and the `length` bytes behind the IP header. 0xffff folded: right. */
static uint64_t sum_transport(const uint8_t *ip, bool is_ip6, uint8_t protocol, size_t length)
{
	size_t head = is_ip6 ? IP6_HEAD_BYTES : IP4_HEAD_BYTES;
	const uint8_t *addresses = ip + (is_ip6 ? IP6_SOURCE_AT : IP4_SOURCE_AT);
	uint64_t sum = 0;

	/* ICMP alone has no pseudo header. */
	if (protocol != IPPROTO_ICMP)
		sum = checksum_add_pseudo(addresses, is_ip6 ? 16 : 4, protocol, length);
	return checksum_add(sum, ip + head, length);
}

static void put_checksum(uint8_t *ip, bool is_ip6, uint8_t protocol, size_t length, size_t at)
{
	uint8_t *head = ip + (is_ip6 ? IP6_HEAD_BYTES : IP4_HEAD_BYTES);
	uint16_t checksum;

	memset(head + at, 0, 2);
	checksum = checksum_fold(sum_transport(ip, is_ip6, protocol, length));
	if (checksum == 0 && protocol == IPPROTO_UDP)
		checksum = 0xffff;
	memcpy(head + at, &checksum, 2);
}

/* Frames that are shorter than Ethernet allows are padded. */
static void finish_answer(struct gate_answer *answer, size_t length)
{
	assert(length <= sizeof(answer->frame));
	if (length < ETHER_FRAME_MIN) {
		memset(answer->frame + length, 0, ETHER_FRAME_MIN - length);
		length = ETHER_FRAME_MIN;
	}
	answer->length = length;
}

static void put_arp(uint8_t *arp, uint16_t operation, const uint8_t *sender_mac,
		    const uint8_t *sender)
{
	memcpy(arp, arp_head, sizeof(arp_head));
	put_be16(arp + ARP_OPERATION_AT, operation);
	memcpy(arp + ARP_SENDER_MAC_AT, sender_mac, MAC_BYTES);
	memcpy(arp + ARP_SENDER_AT, sender, 4);
}

/*
 * Requests for the gateway and the host's loopback alias are answered with the gateway's MAC
 * address. Everything else (replies, announcements, probes of its own address) needs no answer.
 */
static enum gate_verdict check_arp(const struct gate *gate, const uint8_t *frame, size_t length,
				   struct gate_answer *answer)
{
	static const uint8_t nobody[4] = {0};
	const uint8_t *arp = frame + ETHER_HEAD_BYTES;
	const uint8_t *wanted = arp + ARP_TARGET_AT;
	uint8_t *reply = answer->frame + ETHER_HEAD_BYTES;

	if (length < ETHER_HEAD_BYTES + ARP_BYTES || memcmp(arp, arp_head, sizeof(arp_head)) != 0 ||
	    get_be16(arp + ARP_OPERATION_AT) != ARP_REQUEST ||
	    memcmp(arp + ARP_SENDER_MAC_AT, gate->guest_mac, MAC_BYTES) != 0)
		return GATE_DROP;
	if (memcmp(arp + ARP_SENDER_AT, gate->guest4, 4) != 0 &&
	    memcmp(arp + ARP_SENDER_AT, nobody, 4) != 0)
		return GATE_DROP;
	if (memcmp(wanted, gate->gateway4, 4) != 0 && memcmp(wanted, gate->loopback4, 4) != 0)
		return GATE_DROP;
	put_ether(gate->guest_mac, gate->gateway_mac, ETHER_TYPE_ARP, answer->frame);
	put_arp(reply, ARP_REPLY, gate->gateway_mac, wanted);
	memcpy(reply + ARP_TARGET_MAC_AT, gate->guest_mac, MAC_BYTES);
	memcpy(reply + ARP_TARGET_AT, arp + ARP_SENDER_AT, 4);
	finish_answer(answer, ETHER_HEAD_BYTES + ARP_BYTES);
	return GATE_ANSWER;
}

static bool is_link_local6(const uint8_t address[16])
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

#define SOLICIT_BYTES 24 /* ICMPv6 head and the address that is asked for */
#define ADVERT_BYTES  32 /* the same and one option with a MAC address */

/* Neighbour solicitations for the gateway are answered. The kernel may ask from fe80::/10. */
static enum gate_verdict check_solicit(const struct gate *gate, const uint8_t *frame,
				       const struct packet *packet, struct gate_answer *answer)
{
	const uint8_t *ip = frame + ETHER_HEAD_BYTES, *solicit = frame + packet->head_at;
	uint8_t *reply = answer->frame + ETHER_HEAD_BYTES, *advert = reply + IP6_HEAD_BYTES;

	if (ip[IP6_HOPS_AT] != 255 || solicit[1] != 0 ||
	    packet->length - packet->head_at < SOLICIT_BYTES ||
	    memcmp(solicit + ICMP_HEAD_BYTES, &gate->gateway6, 16) != 0)
		return GATE_DROP;
	put_ether(gate->guest_mac, gate->gateway_mac, ETHER_TYPE_IP6, answer->frame);
	put_ip6(reply, IPPROTO_ICMPV6, &gate->gateway6, ip + IP6_SOURCE_AT, ADVERT_BYTES);
	memset(advert, 0, ADVERT_BYTES);
	advert[0] = ICMP6_TYPE_ADVERT;
	advert[4] = 0xe0; /* router, solicited, override */
	memcpy(advert + ICMP_HEAD_BYTES, &gate->gateway6, 16);
	advert[SOLICIT_BYTES] = 2;     /* target's link-layer address, */
	advert[SOLICIT_BYTES + 1] = 1; /* one unit of 8 bytes */
	memcpy(advert + SOLICIT_BYTES + 2, gate->gateway_mac, MAC_BYTES);
	put_checksum(reply, true, IPPROTO_ICMPV6, ADVERT_BYTES, ICMP_CHECKSUM_AT);
	finish_answer(answer, ETHER_HEAD_BYTES + IP6_HEAD_BYTES + ADVERT_BYTES);
	return GATE_ANSWER;
}

/* CVE-2026-9539 and its kin: urgent data is not carried at all. */
static void clear_urgent(uint8_t *tcp)
{
	static const uint8_t nothing[2] = {0};
	uint8_t before[2], after[2];
	uint16_t checksum;

	memcpy(&checksum, tcp + TCP_CHECKSUM_AT, 2);
	memcpy(before, tcp + TCP_OFFSET_AT, 2);
	memcpy(after, before, 2);
	after[1] = (uint8_t)(after[1] & ~TCP_URG);
	checksum = checksum_mend(checksum, before, after, 2);
	checksum = checksum_mend(checksum, tcp + TCP_URGENT_AT, nothing, 2);
	memcpy(tcp + TCP_OFFSET_AT, after, 2);
	memcpy(tcp + TCP_URGENT_AT, nothing, 2);
	memcpy(tcp + TCP_CHECKSUM_AT, &checksum, 2);
}

static enum gate_verdict check_tcp(uint8_t *tcp, size_t length, struct packet *packet)
{
	size_t head;
	uint8_t flags;

	if (length < TCP_HEAD_BYTES)
		return GATE_DROP;
	head = (size_t)(tcp[TCP_OFFSET_AT] >> 4) * 4;
	flags = tcp[TCP_FLAGS_AT];
	if (head < TCP_HEAD_BYTES || head > length)
		return GATE_DROP;
	/* No stack sends these; they are there to confuse one. */
	if ((flags & (TCP_SYN | TCP_RST | TCP_ACK | TCP_FIN)) == 0 ||
	    ((flags & TCP_SYN) != 0 && (flags & (TCP_FIN | TCP_RST)) != 0))
		return GATE_DROP;
	if ((flags & TCP_URG) != 0 || get_be16(tcp + TCP_URGENT_AT) != 0)
		clear_urgent(tcp);
	packet->tcp_flags = tcp[TCP_FLAGS_AT];
	packet->payload_at = packet->head_at + head;
	return GATE_JUDGE;
}

static enum gate_verdict check_udp(const uint8_t *udp, size_t length, struct packet *packet)
{
	if (length < UDP_HEAD_BYTES || get_be16(udp + UDP_LENGTH_AT) != length)
		return GATE_DROP;
	for (size_t i = 0; i < sizeof(closed_udp_ports) / sizeof(closed_udp_ports[0]); i++) {
		if (get_be16(udp + 2) == closed_udp_ports[i])
			return GATE_DROP;
	}
	packet->payload_at = packet->head_at + UDP_HEAD_BYTES;
	return GATE_JUDGE;
}

static bool is_checksum_right(const uint8_t *ip, const struct packet *packet, size_t length)
{
	const uint8_t *udp = ip + (packet->is_ip6 ? IP6_HEAD_BYTES : IP4_HEAD_BYTES);

	/* UDP over IPv4 may go without. */
	if (packet->protocol == IPPROTO_UDP && get_be16(udp + UDP_CHECKSUM_AT) == 0)
		return !packet->is_ip6;
	return checksum_fold(sum_transport(ip, packet->is_ip6, packet->protocol, length)) == 0;
}

/* What follows the IP header, which is right, `packet->length` included. */
static enum gate_verdict check_transport(const struct gate *gate, uint8_t *frame,
					 struct packet *packet, struct gate_answer *answer)
{
	uint8_t *head = frame + packet->head_at;
	size_t length = packet->length - packet->head_at;
	enum gate_verdict verdict;

	switch (packet->protocol) {
	case IPPROTO_TCP:
		verdict = length < TCP_HEAD_BYTES ? GATE_DROP : GATE_JUDGE;
		break;
	case IPPROTO_UDP:
		verdict = check_udp(head, length, packet);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		verdict = length < ICMP_HEAD_BYTES ? GATE_DROP : GATE_JUDGE;
		break;
	default:
		return GATE_REFUSE;
	}
	if (verdict == GATE_DROP || !is_checksum_right(frame + ETHER_HEAD_BYTES, packet, length))
		return GATE_DROP;

	if (packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6) {
		if (packet->is_ip6 && head[0] == ICMP6_TYPE_SOLICIT)
			return check_solicit(gate, frame, packet, answer);
		if (head[0] != (packet->is_ip6 ? ICMP6_TYPE_ECHO : ICMP_TYPE_ECHO) || head[1] != 0)
			return GATE_DROP;
		packet->guest_port = get_be16(head + ICMP_ID_AT);
		packet->payload_at = packet->head_at + ICMP_HEAD_BYTES;
		return GATE_JUDGE;
	}
	packet->guest_port = get_be16(head);
	packet->remote_port = get_be16(head + 2);
	if (packet->guest_port == 0 || packet->remote_port == 0)
		return GATE_DROP;
	return packet->protocol == IPPROTO_TCP ? check_tcp(head, length, packet) : GATE_JUDGE;
}

static enum gate_verdict check_ip4(const struct gate *gate, uint8_t *frame, size_t length,
				   struct packet *packet, struct gate_answer *answer)
{
	uint8_t *ip = frame + ETHER_HEAD_BYTES;
	size_t total;

	/* Version 4, five words: options (source routing, record route) are not carried. */
	if (length < ETHER_HEAD_BYTES + IP4_HEAD_BYTES || ip[0] != 0x45)
		return GATE_DROP;
	total = get_be16(ip + IP4_LENGTH_AT);
	if (total < IP4_HEAD_BYTES || total > length - ETHER_HEAD_BYTES || ip[IP4_TTL_AT] == 0 ||
	    checksum_fold(checksum_add(0, ip, IP4_HEAD_BYTES)) != 0)
		return GATE_DROP;
	/* "More fragments", an offset, or the reserved bit: only "don't fragment" may be set. */
	if ((get_be16(ip + IP4_FRAGMENT_AT) & ~0x4000) != 0)
		return GATE_DROP;
	if (memcmp(ip + IP4_SOURCE_AT, gate->guest4, 4) != 0 || ip[IP4_TARGET_AT] >= 224)
		return GATE_DROP;
	packet->is_ip6 = false;
	packet->protocol = ip[IP4_PROTOCOL_AT];
	if (packet->protocol == IPPROTO_ICMPV6)
		return GATE_DROP;
	packet->remote = address_from4(ip + IP4_TARGET_AT);
	packet->head_at = packet->payload_at = ETHER_HEAD_BYTES + IP4_HEAD_BYTES;
	packet->length = ETHER_HEAD_BYTES + total;
	return check_transport(gate, frame, packet, answer);
}

static bool is_solicit(const uint8_t *ip, const struct packet *packet)
{
	return ip[IP6_NEXT_AT] == IPPROTO_ICMPV6 && packet->length > packet->head_at &&
	       ip[IP6_HEAD_BYTES] == ICMP6_TYPE_SOLICIT;
}

static enum gate_verdict check_ip6(const struct gate *gate, uint8_t *frame, size_t length,
				   struct packet *packet, struct gate_answer *answer)
{
	uint8_t *ip = frame + ETHER_HEAD_BYTES;
	size_t payload;

	if (length < ETHER_HEAD_BYTES + IP6_HEAD_BYTES || ip[0] >> 4 != 6 || ip[IP6_HOPS_AT] == 0)
		return GATE_DROP;
	payload = get_be16(ip + IP6_LENGTH_AT);
	if (payload > length - ETHER_HEAD_BYTES - IP6_HEAD_BYTES)
		return GATE_DROP;
	packet->is_ip6 = true;
	packet->protocol = ip[IP6_NEXT_AT];
	memcpy(&packet->remote, ip + IP6_TARGET_AT, 16);
	packet->head_at = packet->payload_at = ETHER_HEAD_BYTES + IP6_HEAD_BYTES;
	packet->length = packet->head_at + payload;
	if (is_solicit(ip, packet)) {
		if (memcmp(ip + IP6_SOURCE_AT, &gate->guest6, 16) != 0 &&
		    !is_link_local6(ip + IP6_SOURCE_AT))
			return GATE_DROP;
		return check_transport(gate, frame, packet, answer);
	}
	/* No extension header, fragments included, and no IPv4 in IPv6's clothes. */
	if (packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP &&
	    packet->protocol != IPPROTO_ICMPV6)
		return GATE_DROP;
	if (memcmp(ip + IP6_SOURCE_AT, &gate->guest6, 16) != 0 ||
	    IN6_IS_ADDR_MULTICAST(&packet->remote) || IN6_IS_ADDR_V4MAPPED(&packet->remote))
		return GATE_DROP;
	return check_transport(gate, frame, packet, answer);
}

enum gate_verdict gate_check_from_guest(const struct gate *gate, uint8_t *frame, size_t length,
					struct packet *ret_packet, struct gate_answer *answer)
{
	bool to_gateway;

	*ret_packet = (struct packet){0};
	answer->length = 0;
	if (length < ETHER_HEAD_BYTES ||
	    memcmp(frame + ETHER_SOURCE_AT, gate->guest_mac, MAC_BYTES) != 0)
		return GATE_DROP;
	to_gateway = memcmp(frame + ETHER_TARGET_AT, gate->gateway_mac, MAC_BYTES) == 0;
	/* Broadcast and multicast: only ARP and neighbour discovery need them. */
	if (!to_gateway && (frame[ETHER_TARGET_AT] & 1) == 0)
		return GATE_DROP;
	switch (get_be16(frame + ETHER_TYPE_AT)) {
	case ETHER_TYPE_ARP:
		return check_arp(gate, frame, length, answer);
	case ETHER_TYPE_IP4:
		return to_gateway ? check_ip4(gate, frame, length, ret_packet, answer) : GATE_DROP;
	case ETHER_TYPE_IP6: {
		enum gate_verdict verdict = check_ip6(gate, frame, length, ret_packet, answer);

		return to_gateway || verdict == GATE_ANSWER ? verdict : GATE_DROP;
	}
	default:
		return GATE_DROP;
	}
}

/* Ports of a packet towards the guest: its remote side is the sender. */
static enum gate_verdict name_sides(const uint8_t *frame, struct packet *packet)
{
	const uint8_t *head = frame + packet->head_at;
	size_t length = packet->length - packet->head_at;

	switch (packet->protocol) {
	case IPPROTO_TCP:
		if (length < TCP_HEAD_BYTES)
			return GATE_DROP;
		packet->tcp_flags = head[TCP_FLAGS_AT];
		break;
	case IPPROTO_UDP:
		if (length < UDP_HEAD_BYTES)
			return GATE_DROP;
		break;
	case IPPROTO_ICMP:
		return length < ICMP_HEAD_BYTES ? GATE_DROP : GATE_PASS;
	case IPPROTO_ICMPV6:
		/* Neighbour discovery is the gate's own; the guest's routes are given to it. */
		if (length < ICMP_HEAD_BYTES ||
		    (head[0] >= ICMP6_TYPE_ROUTER_ADVERT - 1 && head[0] <= ICMP6_TYPE_REDIRECT))
			return GATE_DROP;
		return GATE_PASS;
	default:
		return GATE_DROP;
	}
	packet->remote_port = get_be16(head);
	packet->guest_port = get_be16(head + 2);
	return GATE_JUDGE;
}

static enum gate_verdict check_ip4_to_guest(const uint8_t *frame, struct packet *packet)
{
	const uint8_t *ip = frame + ETHER_HEAD_BYTES;

	packet->head_at = ETHER_HEAD_BYTES + IP4_HEAD_BYTES;
	if (packet->length < packet->head_at || ip[0] != 0x45)
		return GATE_DROP;
	packet->protocol = ip[IP4_PROTOCOL_AT];
	packet->remote = address_from4(ip + IP4_SOURCE_AT);
	/* The guest can do nothing with the later fragments of a datagram whose first was dropped. */
	if ((get_be16(ip + IP4_FRAGMENT_AT) & IP4_FRAGMENT_MASK) != 0)
		return GATE_PASS;
	return name_sides(frame, packet);
}

static enum gate_verdict check_ip6_to_guest(const uint8_t *frame, struct packet *packet)
{
	const uint8_t *ip = frame + ETHER_HEAD_BYTES;

	packet->is_ip6 = true;
	packet->head_at = ETHER_HEAD_BYTES + IP6_HEAD_BYTES;
	if (packet->length < packet->head_at)
		return GATE_DROP;
	packet->protocol = ip[IP6_NEXT_AT];
	memcpy(&packet->remote, ip + IP6_SOURCE_AT, 16);
	return name_sides(frame, packet);
}

enum gate_verdict gate_check_to_guest(const struct gate *gate, uint8_t *frame, size_t length,
				      struct packet *ret_packet)
{
	*ret_packet = (struct packet){.length = length};
	if (length < ETHER_HEAD_BYTES || length > gate->frame_bytes_max)
		return GATE_DROP;
	memcpy(frame + ETHER_TARGET_AT, gate->guest_mac, MAC_BYTES);
	memcpy(frame + ETHER_SOURCE_AT, gate->gateway_mac, MAC_BYTES);
	switch (get_be16(frame + ETHER_TYPE_AT)) {
	case ETHER_TYPE_IP4:
		return check_ip4_to_guest(frame, ret_packet);
	case ETHER_TYPE_IP6:
		return check_ip6_to_guest(frame, ret_packet);
	default:
		return GATE_DROP;
	}
}

/* Writes a whole IP header that turns the packet around, and gives where its payload goes. */
static uint8_t *turn_around(const struct gate *gate, const uint8_t *frame,
			    const struct packet *packet, bool from_gateway, struct gate_answer *out)
{
	const uint8_t *ip = frame + ETHER_HEAD_BYTES;
	uint8_t *reply = out->frame + ETHER_HEAD_BYTES;

	put_ether(gate->guest_mac, gate->gateway_mac,
		  packet->is_ip6 ? ETHER_TYPE_IP6 : ETHER_TYPE_IP4, out->frame);
	if (packet->is_ip6) {
		const uint8_t *source = from_gateway ? gate->gateway6.s6_addr : ip + IP6_TARGET_AT;

		memcpy(reply + IP6_SOURCE_AT, source, 16);
		return reply + IP6_HEAD_BYTES;
	}
	memcpy(reply + IP4_SOURCE_AT, from_gateway ? gate->gateway4 : ip + IP4_TARGET_AT, 4);
	return reply + IP4_HEAD_BYTES;
}

/* Completes what turn_around() began, now that the payload is there. */
static void finish_around(const struct gate *gate, const struct packet *packet, uint8_t protocol,
			  size_t length, struct gate_answer *answer)
{
	uint8_t *reply = answer->frame + ETHER_HEAD_BYTES;
	size_t at = protocol == IPPROTO_TCP ? TCP_CHECKSUM_AT : ICMP_CHECKSUM_AT;
	uint8_t source[16];

	if (packet->is_ip6) {
		memcpy(source, reply + IP6_SOURCE_AT, 16);
		put_ip6(reply, protocol, source, &gate->guest6, length);
		length += IP6_HEAD_BYTES;
		put_checksum(reply, true, protocol, length - IP6_HEAD_BYTES, at);
	} else {
		memcpy(source, reply + IP4_SOURCE_AT, 4);
		put_ip4(reply, protocol, source, gate->guest4, length);
		length += IP4_HEAD_BYTES;
		put_checksum(reply, false, protocol, length - IP4_HEAD_BYTES, at);
	}
	finish_answer(answer, ETHER_HEAD_BYTES + length);
}

/* RFC 9293 §3.10.7.1: what a closed port answers. */
static void refuse_tcp(const struct gate *gate, const uint8_t *frame, const struct packet *packet,
		       struct gate_answer *answer)
{
	const uint8_t *tcp = frame + packet->head_at;
	uint8_t *reset = turn_around(gate, frame, packet, false, answer);
	uint32_t taken = (uint32_t)(packet->length - packet->payload_at);

	memset(reset, 0, TCP_HEAD_BYTES);
	put_be16(reset, packet->remote_port);
	put_be16(reset + 2, packet->guest_port);
	reset[TCP_OFFSET_AT] = TCP_HEAD_BYTES / 4 << 4;
	if ((packet->tcp_flags & TCP_ACK) != 0) {
		memcpy(reset + TCP_SEQUENCE_AT, tcp + TCP_ACK_AT, 4);
		reset[TCP_FLAGS_AT] = TCP_RST;
	} else {
		taken += (packet->tcp_flags & TCP_SYN) != 0;
		taken += (packet->tcp_flags & TCP_FIN) != 0;
		put_be32(reset + TCP_ACK_AT, get_be32(tcp + TCP_SEQUENCE_AT) + taken);
		reset[TCP_FLAGS_AT] = TCP_RST | TCP_ACK;
	}
	finish_around(gate, packet, IPPROTO_TCP, TCP_HEAD_BYTES, answer);
}

void gate_refuse(const struct gate *gate, const uint8_t *frame, const struct packet *packet,
		 struct gate_answer *answer)
{
	/* IP header and the first 8 bytes of what it carries. */
	size_t quoted = (packet->is_ip6 ? IP6_HEAD_BYTES : IP4_HEAD_BYTES) + 8;
	uint8_t *icmp;

	answer->length = 0;
	if (packet->protocol == IPPROTO_TCP) {
		if ((packet->tcp_flags & TCP_RST) == 0)
			refuse_tcp(gate, frame, packet, answer);
		return;
	}
	if (quoted > packet->length - ETHER_HEAD_BYTES)
		quoted = packet->length - ETHER_HEAD_BYTES;
	icmp = turn_around(gate, frame, packet, true, answer);
	memset(icmp, 0, ICMP_HEAD_BYTES);
	icmp[0] = packet->is_ip6 ? ICMP6_TYPE_UNREACHABLE : ICMP_TYPE_UNREACHABLE;
	icmp[1] = packet->is_ip6 ? ICMP6_CODE_PROHIBITED : ICMP_CODE_PROHIBITED;
	memcpy(icmp + ICMP_HEAD_BYTES, frame + ETHER_HEAD_BYTES, quoted);
	finish_around(gate, packet, packet->is_ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
		      ICMP_HEAD_BYTES + quoted, answer);
}

/* Offset of the transport's checksum; 0 where it covers no addresses or is not used. */
static size_t find_checksum(const uint8_t *frame, const struct packet *packet)
{
	if (packet->protocol == IPPROTO_TCP)
		return packet->head_at + TCP_CHECKSUM_AT;
	if (packet->protocol == IPPROTO_UDP &&
	    get_be16(frame + packet->head_at + UDP_CHECKSUM_AT) != 0)
		return packet->head_at + UDP_CHECKSUM_AT;
	return 0;
}

static void mend(uint8_t *at, const void *before, const void *after, size_t length, bool is_udp)
{
	uint16_t checksum;

	memcpy(&checksum, at, 2);
	checksum = checksum_mend(checksum, before, after, length);
	if (checksum == 0 && is_udp)
		checksum = 0xffff;
	memcpy(at, &checksum, 2);
}

static void set_address4(uint8_t *frame, const struct packet *packet, size_t at,
			 const uint8_t address4[4])
{
	uint8_t *ip = frame + ETHER_HEAD_BYTES;
	size_t checksum_at = find_checksum(frame, packet);

	mend(ip + IP4_CHECKSUM_AT, ip + at, address4, 4, false);
	if (checksum_at != 0)
		mend(frame + checksum_at, ip + at, address4, 4, packet->protocol == IPPROTO_UDP);
	memcpy(ip + at, address4, 4);
}

void gate_set_target4(uint8_t *frame, const struct packet *packet, const uint8_t address4[4])
{
	set_address4(frame, packet, IP4_TARGET_AT, address4);
}

void gate_set_source4(uint8_t *frame, const struct packet *packet, const uint8_t address4[4])
{
	set_address4(frame, packet, IP4_SOURCE_AT, address4);
}

static void set_port(uint8_t *frame, const struct packet *packet, size_t at, uint16_t port)
{
	uint8_t *field = frame + packet->head_at + at;
	size_t checksum_at = find_checksum(frame, packet);
	uint8_t after[2];

	put_be16(after, port);
	if (checksum_at != 0)
		mend(frame + checksum_at, field, after, 2, packet->protocol == IPPROTO_UDP);
	memcpy(field, after, 2);
}

void gate_set_target_port(uint8_t *frame, const struct packet *packet, uint16_t port)
{
	set_port(frame, packet, 2, port);
}

void gate_set_source_port(uint8_t *frame, const struct packet *packet, uint16_t port)
{
	set_port(frame, packet, 0, port);
}

size_t gate_udp_payload(bool is_ip6)
{
	return ETHER_HEAD_BYTES + (is_ip6 ? IP6_HEAD_BYTES : IP4_HEAD_BYTES) + UDP_HEAD_BYTES;
}

size_t gate_wrap_udp(const struct gate *gate, bool is_ip6, uint16_t port, uint16_t guest_port,
		     uint8_t *frame, size_t payload_length)
{
	uint8_t *ip = frame + ETHER_HEAD_BYTES;
	uint8_t *udp = ip + (is_ip6 ? IP6_HEAD_BYTES : IP4_HEAD_BYTES);
	size_t length = UDP_HEAD_BYTES + payload_length;

	put_ether(gate->guest_mac, gate->gateway_mac, is_ip6 ? ETHER_TYPE_IP6 : ETHER_TYPE_IP4,
		  frame);
	if (is_ip6)
		put_ip6(ip, IPPROTO_UDP, &gate->gateway6, &gate->guest6, length);
	else
		put_ip4(ip, IPPROTO_UDP, gate->gateway4, gate->guest4, length);
	put_be16(udp, port);
	put_be16(udp + 2, guest_port);
	put_be16(udp + UDP_LENGTH_AT, (uint16_t)length);
	put_checksum(ip, is_ip6, IPPROTO_UDP, length, UDP_CHECKSUM_AT);
	return gate_udp_payload(is_ip6) + payload_length;
}

void gate_introduce4(const struct gate *gate, struct gate_answer *ret_frame)
{
	uint8_t *arp = ret_frame->frame + ETHER_HEAD_BYTES;

	put_ether(gate->gateway_mac, gate->guest_mac, ETHER_TYPE_ARP, ret_frame->frame);
	put_arp(arp, ARP_REQUEST, gate->guest_mac, gate->guest4);
	memset(arp + ARP_TARGET_MAC_AT, 0, MAC_BYTES);
	memcpy(arp + ARP_TARGET_AT, gate->gateway4, 4);
	finish_answer(ret_frame, ETHER_HEAD_BYTES + ARP_BYTES);
}

void gate_introduce6(const struct gate *gate, struct gate_answer *ret_frame)
{
	uint8_t *ip = ret_frame->frame + ETHER_HEAD_BYTES, *solicit = ip + IP6_HEAD_BYTES;

	put_ether(gate->gateway_mac, gate->guest_mac, ETHER_TYPE_IP6, ret_frame->frame);
	put_ip6(ip, IPPROTO_ICMPV6, &gate->guest6, &gate->gateway6, ADVERT_BYTES);
	memset(solicit, 0, ADVERT_BYTES);
	solicit[0] = ICMP6_TYPE_SOLICIT;
	memcpy(solicit + ICMP_HEAD_BYTES, &gate->gateway6, 16);
	solicit[SOLICIT_BYTES] = 1;     /* source's link-layer address, */
	solicit[SOLICIT_BYTES + 1] = 1; /* one unit of 8 bytes */
	memcpy(solicit + SOLICIT_BYTES + 2, gate->guest_mac, MAC_BYTES);
	put_checksum(ip, true, IPPROTO_ICMPV6, ADVERT_BYTES, ICMP_CHECKSUM_AT);
	finish_answer(ret_frame, ETHER_HEAD_BYTES + IP6_HEAD_BYTES + ADVERT_BYTES);
}
