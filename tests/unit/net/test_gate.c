/* SPDX-License-Identifier: Apache-2.0 */
/* The frame gate, rule by rule. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "checksum.h"
#include "craft.h"
#include "gate.h"

static struct gate gate;
static struct craft craft;
static struct packet packet;
static struct gate_answer answer;

static const struct craft_tcp syn = {.from = 40000, .to = 443, .flags = TCP_SYN, .sequence = 1000};

static int set_up(void **state)
{
	(void)state;
	gate_init(&gate, (const uint8_t *)CRAFT_MAC, 65520);
	return 0;
}

/* In memory of exactly its length, so that a look behind the frame is seen by ASan. */
static enum gate_verdict check(void)
{
	uint8_t *frame = malloc(craft.length > 0 ? craft.length : 1);
	enum gate_verdict verdict;

	assert_non_null(frame);
	memcpy(frame, craft.frame, craft.length);
	verdict = gate_check_from_guest(&gate, frame, craft.length, &packet, &answer);
	memcpy(craft.frame, frame, craft.length);
	free(frame);
	return verdict;
}

static void assert_judged(void)
{
	assert_int_equal(check(), GATE_JUDGE);
}

static void assert_dropped(void)
{
	assert_int_equal(check(), GATE_DROP);
	assert_int_equal(answer.length, 0);
}

static void good_packets_are_judged(void **state)
{
	(void)state;
	craft_tcp(&craft, "203.0.113.5", &syn, NULL, 0);
	assert_judged();
	assert_int_equal(packet.protocol, IPPROTO_TCP);
	assert_int_equal(packet.remote_port, 443);
	assert_int_equal(packet.guest_port, 40000);
	assert_int_equal(packet.tcp_flags, TCP_SYN);
	assert_int_equal(packet.length, craft.length);
	assert_true(IN6_IS_ADDR_V4MAPPED(&packet.remote));
	craft_udp(&craft, "203.0.113.5", 5000, 123, "odd", 3);
	assert_judged();
	assert_int_equal(packet.payload_at, CRAFT_HEAD4 + UDP_HEAD_BYTES);
	craft_echo(&craft, "203.0.113.5", 77);
	assert_judged();
	assert_int_equal(packet.guest_port, 77);
	assert_int_equal(packet.remote_port, 0);
	craft_tcp(&craft, "2001:db8::1", &syn, "data", 4);
	assert_judged();
	assert_true(packet.is_ip6);
	craft_udp(&craft, "2001:db8::1", 5000, 123, "data", 4);
	assert_judged();
	craft_echo(&craft, "2001:db8::1", 9);
	assert_judged();
}

static void longest_frame_passes(void **state)
{
	static uint8_t data[65536];
	(void)state;
	craft_udp(&craft, "203.0.113.5", 5000, 123, data, 65520 - IP4_HEAD_BYTES - UDP_HEAD_BYTES);
	assert_judged();
	assert_int_equal(packet.length, 65534);
}

static void padding_is_cut(void **state)
{
	(void)state;
	craft_udp(&craft, "203.0.113.5", 5000, 123, "x", 1);
	memset(craft.frame + craft.length, 0xaa, 60 - craft.length);
	craft.length = 60;
	assert_judged();
	assert_int_equal(packet.length, CRAFT_HEAD4 + UDP_HEAD_BYTES + 1);
}

static void other_ether_types_are_dropped(void **state)
{
	static const uint16_t types[] = {0x8100, 0x88f8, 0x88cc, 0x0805, 46, 0};
	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		craft_tcp(&craft, "203.0.113.5", &syn, NULL, 0);
		put_be16(craft.frame + ETHER_TYPE_AT, types[i]);
		assert_dropped();
	}
}

static void foreign_mac_is_dropped(void **state)
{
	(void)state;
	craft_tcp(&craft, "203.0.113.5", &syn, NULL, 0);
	craft.frame[ETHER_SOURCE_AT + 5] ^= 1;
	assert_dropped();
	craft_arp_request(&craft, "192.168.127.1");
	craft.frame[ETHER_SOURCE_AT + 5] ^= 1;
	assert_dropped();
	craft_arp_request(&craft, "192.168.127.1");
	craft.frame[ETHER_HEAD_BYTES + ARP_SENDER_MAC_AT + 5] ^= 1;
	assert_dropped();
}

static void foreign_source_address_is_dropped(void **state)
{
	(void)state;
	craft_tcp(&craft, "203.0.113.5", &syn, NULL, 0);
	craft.frame[CRAFT_IP + IP4_SOURCE_AT + 3] = 3;
	craft_mend(&craft);
	assert_dropped();
	craft_tcp(&craft, "2001:db8::1", &syn, NULL, 0);
	craft.frame[CRAFT_IP + IP6_SOURCE_AT + 15] = 3;
	craft_mend(&craft);
	assert_dropped();
	craft_arp_request(&craft, "192.168.127.1");
	craft.frame[ETHER_HEAD_BYTES + ARP_SENDER_AT + 3] = 9;
	assert_dropped();
}

static void wrong_mac_target_is_dropped(void **state)
{
	(void)state;
	craft_tcp(&craft, "203.0.113.5", &syn, NULL, 0);
	craft.frame[ETHER_TARGET_AT + 5] ^= 1;
	assert_dropped();
	/* Broadcast frames carry no unicast packets. */
	memset(craft.frame + ETHER_TARGET_AT, 0xff, MAC_BYTES);
	assert_dropped();
	craft_arp_request(&craft, "192.168.127.1");
	memcpy(craft.frame + ETHER_TARGET_AT, "\x52\x54\0\0\0\1", MAC_BYTES);
	assert_dropped();
}

static void multicast_and_broadcast_are_dropped(void **state)
{
	(void)state;
	craft_udp(&craft, "224.0.0.251", 5353, 5353, "q", 1);
	assert_dropped();
	craft_udp(&craft, "255.255.255.255", 5000, 9, "q", 1);
	assert_dropped();
	craft_udp(&craft, "240.0.0.1", 5000, 9, "q", 1);
	assert_dropped();
	craft_udp(&craft, "ff02::fb", 5353, 5353, "q", 1);
	assert_dropped();
}

/* Every cut of every kind of frame: nothing behind the end is read, nothing short gets through. */
static void every_truncation_is_dropped(void **state)
{
	(void)state;
	for (int kind = 0; kind < 8; kind++) {
		size_t whole;

		for (size_t length = 0;; length++) {
			switch (kind) {
			case 0:
				craft_tcp(&craft, "203.0.113.5", &syn, NULL, 0);
				break;
			case 1:
				craft_udp(&craft, "203.0.113.5", 5000, 123, "abc", 3);
				break;
			case 2:
				craft_echo(&craft, "203.0.113.5", 1);
				break;
			case 3:
				craft_tcp(&craft, "2001:db8::1", &syn, NULL, 0);
				break;
			case 4:
				craft_udp(&craft, "2001:db8::1", 5000, 123, "abc", 3);
				break;
			case 5:
				craft_echo(&craft, "2001:db8::1", 1);
				break;
			case 6:
				craft_arp_request(&craft, "192.168.127.1");
				craft.length = ETHER_HEAD_BYTES + ARP_BYTES;
				break;
			default:
				craft_solicit(&craft, "fd00:6b72:756e::2", "fd00:6b72:756e::1");
			}
			whole = craft.length;
			if (length >= whole)
				break;
			craft.length = length;
			assert_dropped();
		}
	}
}

static void lying_lengths_are_dropped(void **state)
{
	(void)state;
	craft_udp(&craft, "203.0.113.5", 5000, 123, "abc", 3);
	put_be16(craft.frame + CRAFT_IP + IP4_LENGTH_AT, (uint16_t)(craft.length - CRAFT_IP + 1));
	craft_mend(&craft);
	assert_dropped();
	craft_udp(&craft, "203.0.113.5", 5000, 123, "abc", 3);
	put_be16(craft.frame + CRAFT_IP + IP4_LENGTH_AT, IP4_HEAD_BYTES - 1);
	craft_mend(&craft);
	assert_dropped();
	for (int length = 0; length < 20; length++) {
		craft_udp(&craft, "203.0.113.5", 5000, 123, "abc", 3);
		put_be16(craft.frame + CRAFT_HEAD4 + UDP_LENGTH_AT, (uint16_t)length);
		craft_mend(&craft);
		assert_int_equal(check(), length == UDP_HEAD_BYTES + 3 ? GATE_JUDGE : GATE_DROP);
	}
	/* TCP's own header length, in words. */
	for (int words = 0; words < 16; words++) {
		craft_tcp(&craft, "203.0.113.5", &syn, "\1\1\1\1\1\1\1\1", 8);
		craft.frame[CRAFT_HEAD4 + TCP_OFFSET_AT] = (uint8_t)(words << 4);
		craft_mend(&craft);
		assert_int_equal(check(), words >= 5 && words <= 7 ? GATE_JUDGE : GATE_DROP);
	}
}

static void ip_options_are_dropped(void **state)
{
	(void)state;
	craft_tcp(&craft, "203.0.113.5", &syn, NULL, 0);
	memmove(craft.frame + CRAFT_HEAD4 + 4, craft.frame + CRAFT_HEAD4, TCP_HEAD_BYTES);
	memset(craft.frame + CRAFT_HEAD4, 1, 4);
	craft.length += 4;
	craft.frame[CRAFT_IP] = 0x46;
	put_be16(craft.frame + CRAFT_IP + IP4_LENGTH_AT, (uint16_t)(craft.length - CRAFT_IP));
	craft_mend(&craft);
	assert_dropped();
	/* A header length that lies: without options the packet would be a good one. */
	craft_tcp(&craft, "203.0.113.5", &syn, "\1\1\1\1", 4);
	craft.frame[CRAFT_IP] = 0x46;
	craft_mend(&craft);
	assert_dropped();
}

static void wrong_versions_are_dropped(void **state)
{
	(void)state;
	craft_tcp(&craft, "203.0.113.5", &syn, NULL, 0);
	craft.frame[CRAFT_IP] = 0x65;
	craft_mend(&craft);
	assert_dropped();
	craft_tcp(&craft, "2001:db8::1", &syn, NULL, 0);
	craft.frame[CRAFT_IP] = 0x45;
	assert_dropped();
}

static void fragments_are_dropped(void **state)
{
	static const uint16_t fields[] = {0x2000, 0x0001, 0x1fff, 0x8000, 0x6000};
	static const uint8_t fragment[] = {IPPROTO_UDP, 0, 0, 1, 0, 0, 0, 1,
					   1,           1, 1, 1, 1, 1, 1, 1};
	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		craft_udp(&craft, "203.0.113.5", 5000, 123, "abc", 3);
		put_be16(craft.frame + CRAFT_IP + IP4_FRAGMENT_AT, fields[i]);
		craft_mend(&craft);
		assert_dropped();
	}
	craft_ip(&craft, "2001:db8::1", IPPROTO_FRAGMENT, fragment, sizeof(fragment));
	assert_dropped();
}

static void extension_headers_are_dropped(void **state)
{
	static const uint8_t kinds[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, 135, 59};
	static const uint8_t header[8] = {IPPROTO_TCP};
	(void)state;
	for (size_t i = 0; i < sizeof(kinds); i++) {
		craft_ip(&craft, "2001:db8::1", kinds[i], header, sizeof(header));
		assert_dropped();
	}
}

/* The host's kernel takes ::ffff:127.0.0.1 for its own loopback. */
static void ip4_in_ip6_clothes_is_dropped(void **state)
{
	(void)state;
	craft_tcp(&craft, "::ffff:127.0.0.1", &syn, NULL, 0);
	assert_dropped();
	craft_tcp(&craft, "::ffff:203.0.113.5", &syn, NULL, 0);
	assert_dropped();
}

static void bad_checksums_are_dropped(void **state)
{
	(void)state;
	craft_tcp(&craft, "203.0.113.5", &syn, "data", 4);
	craft.frame[craft.length - 1] ^= 1;
	assert_dropped();
	craft_tcp(&craft, "203.0.113.5", &syn, "data", 4);
	craft.frame[CRAFT_IP + IP4_TTL_AT] ^= 1;
	assert_dropped();
	craft_udp(&craft, "203.0.113.5", 5000, 123, "abc", 3);
	craft.frame[craft.length - 1] ^= 1;
	assert_dropped();
	craft_echo(&craft, "203.0.113.5", 1);
	craft.frame[craft.length - 1] ^= 1;
	assert_dropped();
	craft_tcp(&craft, "2001:db8::1", &syn, "data", 4);
	craft.frame[craft.length - 1] ^= 1;
	assert_dropped();
	craft_echo(&craft, "2001:db8::1", 1);
	craft.frame[craft.length - 1] ^= 1;
	assert_dropped();
}

static void udp_without_checksum_only_over_ip4(void **state)
{
	(void)state;
	craft_udp(&craft, "203.0.113.5", 5000, 123, "abc", 3);
	put_be16(craft.frame + CRAFT_HEAD4 + UDP_CHECKSUM_AT, 0);
	assert_judged();
	craft_udp(&craft, "2001:db8::1", 5000, 123, "abc", 3);
	put_be16(craft.frame + CRAFT_HEAD6 + UDP_CHECKSUM_AT, 0);
	assert_dropped();
}

static void assert_urgent_cleared(const char *target, size_t head, uint16_t pointer, bool flag)
{
	struct craft_tcp tcp = {.from = 1, .to = 2, .flags = TCP_ACK | (flag ? TCP_URG : 0)};

	craft_tcp(&craft, target, &tcp, "urgent", 6);
	put_be16(craft.frame + head + TCP_URGENT_AT, pointer);
	craft_mend(&craft);
	assert_judged();
	assert_int_equal(craft.frame[head + TCP_FLAGS_AT], TCP_ACK);
	assert_int_equal(packet.tcp_flags, TCP_ACK);
	assert_int_equal(get_be16(craft.frame + head + TCP_URGENT_AT), 0);
	assert_true(craft_is_right(craft.frame, craft.length));
}

/* CVE-2026-9539 */
static void urgent_data_is_cleared(void **state)
{
	(void)state;
	assert_urgent_cleared("203.0.113.5", CRAFT_HEAD4, 1, true);
	assert_urgent_cleared("203.0.113.5", CRAFT_HEAD4, 0xffff, true);
	assert_urgent_cleared("203.0.113.5", CRAFT_HEAD4, 0, true);
	assert_urgent_cleared("203.0.113.5", CRAFT_HEAD4, 0xfffe, false);
	assert_urgent_cleared("2001:db8::1", CRAFT_HEAD6, 3, true);
}

static void impossible_tcp_flags_are_dropped(void **state)
{
	static const uint8_t flags[] = {0,    TCP_SYN | TCP_FIN, TCP_SYN | TCP_RST,
					0x08, TCP_URG,           0xff};
	struct craft_tcp tcp = {.from = 1, .to = 2};
	(void)state;
	for (size_t i = 0; i < sizeof(flags); i++) {
		tcp.flags = flags[i];
		craft_tcp(&craft, "203.0.113.5", &tcp, NULL, 0);
		assert_dropped();
	}
}

static void port_zero_is_dropped(void **state)
{
	struct craft_tcp tcp = {.from = 0, .to = 2, .flags = TCP_SYN};
	(void)state;
	craft_tcp(&craft, "203.0.113.5", &tcp, NULL, 0);
	assert_dropped();
	craft_udp(&craft, "203.0.113.5", 5, 0, NULL, 0);
	assert_dropped();
}

static void dhcp_and_tftp_are_dropped(void **state)
{
	static const uint16_t ports[] = {67, 68, 69, 546, 547};
	(void)state;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		craft_udp(&craft, "192.168.127.1", 68, ports[i], "x", 1);
		assert_dropped();
		craft_udp(&craft, "203.0.113.5", 68, ports[i], "x", 1);
		assert_dropped();
		craft_udp(&craft, "fd00:6b72:756e::1", 546, ports[i], "x", 1);
		assert_dropped();
	}
	craft_udp(&craft, "255.255.255.255", 68, 67, "x", 1);
	assert_dropped();
}

static void other_icmp_is_dropped(void **state)
{
	uint8_t message[16] = {0};
	(void)state;
	for (int type = 0; type < 256; type++) {
		message[0] = (uint8_t)type;
		craft_ip(&craft, "203.0.113.5", IPPROTO_ICMP, message, sizeof(message));
		assert_int_equal(check(), type == ICMP_TYPE_ECHO ? GATE_JUDGE : GATE_DROP);
		craft_ip(&craft, "2001:db8::1", IPPROTO_ICMPV6, message, sizeof(message));
		assert_int_equal(check(), type == ICMP6_TYPE_ECHO ? GATE_JUDGE : GATE_DROP);
	}
}

static void other_protocols_are_refused(void **state)
{
	(void)state;
	craft_ip(&craft, "203.0.113.5", 47, "gre!", 4);
	assert_int_equal(check(), GATE_REFUSE);
	gate_refuse(&gate, craft.frame, &packet, &answer);
	assert_int_equal(answer.frame[CRAFT_HEAD4], ICMP_TYPE_UNREACHABLE);
	assert_true(craft_is_right(answer.frame, answer.length));
}

static void arp_is_answered_for_the_gateway(void **state)
{
	const uint8_t *arp = answer.frame + ETHER_HEAD_BYTES;
	(void)state;
	craft_arp_request(&craft, "192.168.127.1");
	assert_int_equal(check(), GATE_ANSWER);
	assert_int_equal(answer.length, ETHER_FRAME_MIN);
	assert_memory_equal(answer.frame, CRAFT_MAC, MAC_BYTES);
	assert_int_equal(get_be16(arp + ARP_OPERATION_AT), ARP_REPLY);
	assert_memory_equal(arp + ARP_SENDER_MAC_AT, CRAFT_GATEWAY_MAC, MAC_BYTES);
	assert_memory_equal(arp + ARP_SENDER_AT, "\xc0\xa8\x7f\x01", 4);
	assert_memory_equal(arp + ARP_TARGET_AT, "\xc0\xa8\x7f\x02", 4);
	craft_arp_request(&craft, "192.168.127.254");
	assert_int_equal(check(), GATE_ANSWER);
}

static void other_arp_is_dropped(void **state)
{
	(void)state;
	craft_arp_request(&craft, "192.168.127.2"); /* a probe of its own address */
	assert_dropped();
	craft_arp_request(&craft, "192.168.127.9");
	assert_dropped();
	craft_arp_request(&craft, "192.168.127.1");
	put_be16(craft.frame + ETHER_HEAD_BYTES + ARP_OPERATION_AT, ARP_REPLY);
	assert_dropped();
	craft_arp_request(&craft, "192.168.127.1");
	craft.frame[ETHER_HEAD_BYTES + 4] = 8;
	assert_dropped();
}

static void solicitation_is_answered_for_the_gateway(void **state)
{
	static const char *const sources[] = {"fd00:6b72:756e::2", "fe80::5054:ff:fe12:3456"};
	uint8_t gateway6[16];
	(void)state;
	inet_pton(AF_INET6, "fd00:6b72:756e::1", gateway6);
	for (int i = 0; i < 2; i++) {
		craft_solicit(&craft, sources[i], "fd00:6b72:756e::1");
		assert_int_equal(check(), GATE_ANSWER);
		assert_int_equal(answer.frame[CRAFT_HEAD6], ICMP6_TYPE_ADVERT);
		assert_memory_equal(answer.frame + CRAFT_HEAD6 + 8, gateway6, 16);
		assert_memory_equal(answer.frame + CRAFT_HEAD6 + 26, CRAFT_GATEWAY_MAC, MAC_BYTES);
		assert_memory_equal(answer.frame + CRAFT_IP + IP6_TARGET_AT,
				    craft.frame + CRAFT_IP + IP6_SOURCE_AT, 16);
		assert_true(craft_is_right(answer.frame, answer.length));
	}
}

static void other_solicitations_are_dropped(void **state)
{
	(void)state;
	craft_solicit(&craft, "fd00:6b72:756e::2", "fd00:6b72:756e::9");
	assert_dropped();
	craft_solicit(&craft, "::", "fd00:6b72:756e::1"); /* duplicate address detection */
	assert_dropped();
	craft_solicit(&craft, "fd00:6b72:756e::3", "fd00:6b72:756e::1");
	assert_dropped();
	craft_solicit(&craft, "fd00:6b72:756e::2", "fd00:6b72:756e::1");
	craft.frame[CRAFT_IP + IP6_HOPS_AT] = 64; /* it came from afar */
	assert_dropped();
}

static void refused_syn_gets_reset(void **state)
{
	const uint8_t *tcp = answer.frame + CRAFT_HEAD4;
	(void)state;
	craft_tcp(&craft, "203.0.113.5", &syn, NULL, 0);
	assert_judged();
	gate_refuse(&gate, craft.frame, &packet, &answer);
	assert_true(craft_is_right(answer.frame, answer.length));
	assert_memory_equal(answer.frame + CRAFT_IP + IP4_SOURCE_AT, "\xcb\x00\x71\x05", 4);
	assert_int_equal(get_be16(tcp), 443);
	assert_int_equal(get_be16(tcp + 2), 40000);
	assert_int_equal(tcp[TCP_FLAGS_AT], TCP_RST | TCP_ACK);
	assert_int_equal(get_be32(tcp + TCP_ACK_AT), 1001);
}

static void refused_data_gets_reset_at_its_ack(void **state)
{
	struct craft_tcp tcp = {.from = 1, .to = 2, .flags = TCP_ACK, .sequence = 5, .ack = 777};
	const uint8_t *reset = answer.frame + CRAFT_HEAD6;
	(void)state;
	craft_tcp(&craft, "2001:db8::1", &tcp, "data", 4);
	assert_judged();
	gate_refuse(&gate, craft.frame, &packet, &answer);
	assert_true(craft_is_right(answer.frame, answer.length));
	assert_int_equal(reset[TCP_FLAGS_AT], TCP_RST);
	assert_int_equal(get_be32(reset + TCP_SEQUENCE_AT), 777);
}

static void reset_is_not_answered(void **state)
{
	struct craft_tcp tcp = {.from = 1, .to = 2, .flags = TCP_RST};
	(void)state;
	craft_tcp(&craft, "203.0.113.5", &tcp, NULL, 0);
	assert_judged();
	gate_refuse(&gate, craft.frame, &packet, &answer);
	assert_int_equal(answer.length, 0);
}

static void refused_udp_gets_prohibited(void **state)
{
	(void)state;
	craft_udp(&craft, "203.0.113.5", 5000, 123, "abcdefghijkl", 12);
	assert_judged();
	gate_refuse(&gate, craft.frame, &packet, &answer);
	assert_true(craft_is_right(answer.frame, answer.length));
	assert_int_equal(answer.frame[CRAFT_HEAD4], ICMP_TYPE_UNREACHABLE);
	assert_int_equal(answer.frame[CRAFT_HEAD4 + 1], ICMP_CODE_PROHIBITED);
	/* The guest finds its socket by what is quoted. */
	assert_memory_equal(answer.frame + CRAFT_HEAD4 + 8, craft.frame + CRAFT_IP, 28);
	craft_udp(&craft, "2001:db8::1", 5000, 123, NULL, 0);
	assert_judged();
	gate_refuse(&gate, craft.frame, &packet, &answer);
	assert_true(craft_is_right(answer.frame, answer.length));
	assert_int_equal(answer.frame[CRAFT_HEAD6], ICMP6_TYPE_UNREACHABLE);
	assert_memory_equal(answer.frame + CRAFT_HEAD6 + 8, craft.frame + CRAFT_IP, 48);
}

static void rewrites_keep_checksums_right(void **state)
{
	static const uint8_t address[4] = {192, 168, 127, 1};
	(void)state;
	for (int i = 0; i < 3000; i++) {
		uint8_t data[2] = {(uint8_t)(i >> 8), (uint8_t)i};
		struct craft_tcp tcp = {.from = (uint16_t)(i + 1), .to = 53, .flags = TCP_SYN};

		if (i % 2 == 0)
			craft_tcp(&craft, "192.168.127.254", &tcp, data, 2);
		else
			craft_udp(&craft, "192.168.127.254", 9, 7, data, 2);
		assert_judged();
		gate_set_target4(craft.frame, &packet, address);
		gate_set_target_port(craft.frame, &packet, (uint16_t)(i * 21));
		gate_set_source_port(craft.frame, &packet, (uint16_t)~i);
		gate_set_source4(craft.frame, &packet, address);
		assert_true(craft_is_right(craft.frame, craft.length));
	}
	/* No checksum stays no checksum. */
	craft_udp(&craft, "192.168.127.254", 9, 7, "x", 1);
	put_be16(craft.frame + CRAFT_HEAD4 + UDP_CHECKSUM_AT, 0);
	assert_judged();
	gate_set_target4(craft.frame, &packet, address);
	assert_int_equal(get_be16(craft.frame + CRAFT_HEAD4 + UDP_CHECKSUM_AT), 0);
}

static void udp_answers_are_wrapped(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		size_t at = gate_udp_payload(v6);

		memcpy(craft.frame + at, "hello", 5);
		craft.length = gate_wrap_udp(&gate, v6, 53, 40000, craft.frame, 5);
		assert_int_equal(craft.length, at + 5);
		assert_true(craft_is_right(craft.frame, craft.length));
		assert_int_equal(gate_check_to_guest(&gate, craft.frame, craft.length, &packet),
				 GATE_JUDGE);
		assert_int_equal(packet.remote_port, 53);
		assert_int_equal(packet.guest_port, 40000);
	}
}

/* Towards the guest: the frame is turned around as if libslirp had sent it. */
static enum gate_verdict check_to_guest(void)
{
	return gate_check_to_guest(&gate, craft.frame, craft.length, &packet);
}

static void frames_to_the_guest_get_its_mac(void **state)
{
	(void)state;
	craft_tcp(&craft, "203.0.113.5", &syn, NULL, 0);
	assert_int_equal(check_to_guest(), GATE_JUDGE);
	assert_memory_equal(craft.frame + ETHER_TARGET_AT, CRAFT_MAC, MAC_BYTES);
	assert_memory_equal(craft.frame + ETHER_SOURCE_AT, CRAFT_GATEWAY_MAC, MAC_BYTES);
	assert_int_equal(packet.remote_port, 40000);
	assert_int_equal(packet.guest_port, 443);
}

/* A longer one makes libkrun's process abort. */
static void too_long_frames_do_not_reach_the_guest(void **state)
{
	static uint8_t data[65536];
	(void)state;
	craft_udp(&craft, "2001:db8::1", 1, 2, data, 65520 - IP6_HEAD_BYTES - UDP_HEAD_BYTES);
	assert_int_equal(check_to_guest(), GATE_JUDGE);
	craft_udp(&craft, "2001:db8::1", 1, 2, data, 65520 - IP6_HEAD_BYTES - UDP_HEAD_BYTES + 1);
	assert_int_equal(check_to_guest(), GATE_DROP);
	gate_init(&gate, (const uint8_t *)CRAFT_MAC, 1500);
	craft_udp(&craft, "203.0.113.5", 1, 2, data, 1473);
	assert_int_equal(check_to_guest(), GATE_DROP);
}

static void advertisements_do_not_reach_the_guest(void **state)
{
	uint8_t message[24] = {0};
	(void)state;
	for (int type = 133; type <= 137; type++) {
		message[0] = (uint8_t)type;
		craft_ip(&craft, "fd00:6b72:756e::1", IPPROTO_ICMPV6, message, sizeof(message));
		assert_int_equal(check_to_guest(), GATE_DROP);
	}
	message[0] = 129; /* echo reply */
	craft_ip(&craft, "fd00:6b72:756e::1", IPPROTO_ICMPV6, message, sizeof(message));
	assert_int_equal(check_to_guest(), GATE_PASS);
	craft_arp_request(&craft, "192.168.127.2");
	assert_int_equal(check_to_guest(), GATE_DROP);
}

static void introductions_are_right(void **state)
{
	(void)state;
	gate_introduce4(&gate, &answer);
	memcpy(craft.frame, answer.frame, answer.length);
	craft.length = answer.length;
	assert_int_equal(check(), GATE_ANSWER);
	gate_introduce6(&gate, &answer);
	assert_true(craft_is_right(answer.frame, answer.length));
}

static void checksum_is_that_of_rfc1071(void **state)
{
	static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	uint16_t checksum = checksum_fold(checksum_add(0, data, sizeof(data)));
	uint8_t bytes[2];
	(void)state;
	memcpy(bytes, &checksum, 2);
	assert_int_equal(get_be16(bytes), (uint16_t)~0xddf2);
	/* In parts as well, and with an odd end. */
	assert_int_equal(checksum_fold(checksum_add(checksum_add(0, data, 2), data + 2, 6)),
			 checksum);
	checksum = checksum_fold(checksum_add(0, data, 3));
	memcpy(bytes, &checksum, 2);
	assert_int_equal(get_be16(bytes), (uint16_t)~0xf201);
}

#define T(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(good_packets_are_judged),
		T(longest_frame_passes),
		T(padding_is_cut),
		T(other_ether_types_are_dropped),
		T(foreign_mac_is_dropped),
		T(foreign_source_address_is_dropped),
		T(wrong_mac_target_is_dropped),
		T(multicast_and_broadcast_are_dropped),
		T(every_truncation_is_dropped),
		T(lying_lengths_are_dropped),
		T(ip_options_are_dropped),
		T(wrong_versions_are_dropped),
		T(fragments_are_dropped),
		T(extension_headers_are_dropped),
		T(ip4_in_ip6_clothes_is_dropped),
		T(bad_checksums_are_dropped),
		T(udp_without_checksum_only_over_ip4),
		T(urgent_data_is_cleared),
		T(impossible_tcp_flags_are_dropped),
		T(port_zero_is_dropped),
		T(dhcp_and_tftp_are_dropped),
		T(other_icmp_is_dropped),
		T(other_protocols_are_refused),
		T(arp_is_answered_for_the_gateway),
		T(other_arp_is_dropped),
		T(solicitation_is_answered_for_the_gateway),
		T(other_solicitations_are_dropped),
		T(refused_syn_gets_reset),
		T(refused_data_gets_reset_at_its_ack),
		T(reset_is_not_answered),
		T(refused_udp_gets_prohibited),
		T(rewrites_keep_checksums_right),
		T(udp_answers_are_wrapped),
		T(frames_to_the_guest_get_its_mac),
		T(too_long_frames_do_not_reach_the_guest),
		T(advertisements_do_not_reach_the_guest),
		T(introductions_are_right),
		T(checksum_is_that_of_rfc1071),
	};

	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
