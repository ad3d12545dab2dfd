/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame gate: what a frame must be before anything else looks at it.
 *
 * Pure: no I/O, no allocation, no clock, no state. libslirp has had memory-safety bugs that a guest
 * could reach, so it is shown as little as possible: whole, well-formed, unfragmented TCP, UDP and
 * ICMP echo packets from the machine's own addresses, with right checksums. ARP and IPv6 neighbour
 * discovery are answered here; DHCP, TFTP, IP options, extension headers, multicast and urgent data
 * never get through. Where a packet may go is policy.h's.
 */
#ifndef NET_GATE_H
#define NET_GATE_H

#include "packet.h"

/* Longest answer that is made here: an ICMPv6 error with 48 bytes of what it answers. */
#define GATE_ANSWER_BYTES_MAX 160

struct gate {
	uint8_t guest_mac[MAC_BYTES], gateway_mac[MAC_BYTES];
	uint8_t guest4[4], gateway4[4], loopback4[4];
	struct in6_addr guest6, gateway6;
	size_t frame_bytes_max; /* towards the guest: MTU and Ethernet header */
};

struct gate_answer {
	uint8_t frame[GATE_ANSWER_BYTES_MAX];
	size_t length; /* 0: none */
};

enum gate_verdict {
	GATE_DROP,   /* breaks a rule, or nobody would answer it */
	GATE_ANSWER, /* `answer` goes back to the guest */
	GATE_JUDGE,  /* a good packet: policy decides; towards the guest: belongs to a flow */
	GATE_REFUSE, /* a good packet of a kind that nothing here carries: gate_refuse() */
	GATE_PASS,   /* towards the guest only: belongs to no flow (an ICMP error, a fragment) */
};

/* The addresses of net_config.h. `mtu` <= LIMIT_MTU. */
void gate_init(struct gate *gate, const uint8_t guest_mac[MAC_BYTES], size_t mtu);

/*
 * A frame from the guest. Clears TCP's urgent flag and pointer in place. `ret_packet` is filled in
 * with JUDGE and REFUSE, `answer` with ANSWER.
 */
enum gate_verdict gate_check_from_guest(const struct gate *gate, uint8_t *frame, size_t length,
					struct packet *ret_packet, struct gate_answer *answer);

/*
 * A frame from libslirp. Writes the two MAC addresses in place. `ret_packet` is filled in with
 * JUDGE; its sides are named as in the other direction.
 */
enum gate_verdict gate_check_to_guest(const struct gate *gate, uint8_t *frame, size_t length,
				      struct packet *ret_packet);

/*
 * The answer to a packet that is refused: RST for TCP, else "administratively prohibited". No answer
 * (length 0) to a RST.
 */
void gate_refuse(const struct gate *gate, const uint8_t *frame, const struct packet *packet,
		 struct gate_answer *answer);

/* Rewrites of checked packets; checksums are mended. The IPv4 ones only for IPv4. */
void gate_set_target4(uint8_t *frame, const struct packet *packet, const uint8_t address4[4]);
void gate_set_source4(uint8_t *frame, const struct packet *packet, const uint8_t address4[4]);
void gate_set_target_port(uint8_t *frame, const struct packet *packet, uint16_t port);
void gate_set_source_port(uint8_t *frame, const struct packet *packet, uint16_t port);

/*
 * Puts Ethernet, IP and UDP headers before the payload that stands at gate_udp_payload() of `frame`,
 * as if it came from port `port` of the gateway. Returns the length of the frame.
 */
size_t gate_wrap_udp(const struct gate *gate, bool is_ip6, uint16_t port, uint16_t guest_port,
		     uint8_t *frame, size_t payload_length);
size_t gate_udp_payload(bool is_ip6);

/*
 * Frames as the guest would send them to make libslirp know its MAC address: an ARP request and a
 * neighbour solicitation for the gateway.
 */
void gate_introduce4(const struct gate *gate, struct gate_answer *ret_frame);
void gate_introduce6(const struct gate *gate, struct gate_answer *ret_frame);

#endif
