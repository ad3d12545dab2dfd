/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame gate: a frame as it is, and again as a guest would have made it (right addresses and
 * checksums), so that the fuzzer gets past the first checks. What is let through must hold what the
 * gate promises.
 */
#include "checksum.c"
#include "gate.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GUEST_MAC "\x52\x54\x00\x12\x34\x56"

static struct gate gate;

static void require(bool true_for_all)
{
	if (!true_for_all)
		abort();
}

static size_t transport_length(const struct packet *packet)
{
	return packet->length - packet->head_at;
}

static void check_packet(const uint8_t *frame, size_t length, const struct packet *packet)
{
	const uint8_t *ip = frame + ETHER_HEAD_BYTES, *head = frame + packet->head_at;

	require(packet->length <= length && packet->head_at <= packet->payload_at &&
		packet->payload_at <= packet->length);
	require(memcmp(frame + ETHER_SOURCE_AT, gate.guest_mac, MAC_BYTES) == 0);
	if (packet->is_ip6) {
		require(memcmp(ip + IP6_SOURCE_AT, &gate.guest6, 16) == 0);
		require(!IN6_IS_ADDR_MULTICAST(&packet->remote) &&
			!IN6_IS_ADDR_V4MAPPED(&packet->remote));
	} else {
		require(memcmp(ip + IP4_SOURCE_AT, gate.guest4, 4) == 0);
		require(IN6_IS_ADDR_V4MAPPED(&packet->remote) && ip[IP4_TARGET_AT] < 224);
		require((get_be16(ip + IP4_FRAGMENT_AT) & ~0x4000) == 0);
		require(checksum_fold(checksum_add(0, ip, IP4_HEAD_BYTES)) == 0);
	}
	if (packet->protocol == IPPROTO_TCP)
		require((head[TCP_FLAGS_AT] & TCP_URG) == 0 && get_be16(head + TCP_URGENT_AT) == 0);
}

static void check_answer(const struct gate_answer *answer)
{
	struct packet packet;
	uint8_t frame[GATE_ANSWER_BYTES_MAX];

	if (answer->length == 0)
		return;
	require(answer->length >= ETHER_FRAME_MIN && answer->length <= GATE_ANSWER_BYTES_MAX);
	require(memcmp(answer->frame, gate.guest_mac, MAC_BYTES) == 0);
	memcpy(frame, answer->frame, answer->length);
	(void)gate_check_to_guest(&gate, frame, answer->length, &packet);
}

/* Addresses and ports as krun-net changes them: right checksums stay right. */
static void check_rewrites(uint8_t *frame, const struct packet *packet)
{
	gate_set_target_port(frame, packet, 4711);
	gate_set_source_port(frame, packet, 53);
	if (!packet->is_ip6) {
		gate_set_target4(frame, packet, gate.gateway4);
		gate_set_source4(frame, packet, gate.loopback4);
	}
	require(is_checksum_right(frame + ETHER_HEAD_BYTES, packet, transport_length(packet)));
}

static void try_frame(const uint8_t *data, size_t size)
{
	uint8_t *frame = malloc(size > 0 ? size : 1);
	struct gate_answer answer;
	struct packet packet;
	enum gate_verdict verdict;

	require(frame != NULL);
	if (size > 0)
		memcpy(frame, data, size);
	(void)gate_check_to_guest(&gate, frame, size, &packet);
	if (size > 0)
		memcpy(frame, data, size);
	verdict = gate_check_from_guest(&gate, frame, size, &packet, &answer);
	require(verdict != GATE_PASS && (verdict == GATE_ANSWER) == (answer.length > 0));
	check_answer(&answer);
	if (verdict == GATE_JUDGE || verdict == GATE_REFUSE) {
		check_packet(frame, size, &packet);
		gate_refuse(&gate, frame, &packet, &answer);
		check_answer(&answer);
	}
	if (verdict == GATE_JUDGE &&
	    (packet.protocol == IPPROTO_TCP || packet.protocol == IPPROTO_UDP))
		check_rewrites(frame, &packet);
	free(frame);
}

/* What a guest's kernel would do: its own addresses, right lengths of nothing, right checksums. */
static void make_plausible(uint8_t *frame, size_t size)
{
	uint8_t *ip = frame + ETHER_HEAD_BYTES;
	bool is_ip6 = get_be16(frame + ETHER_TYPE_AT) == ETHER_TYPE_IP6;
	size_t head = is_ip6 ? IP6_HEAD_BYTES : IP4_HEAD_BYTES, length;
	uint8_t protocol;
	size_t at;

	memcpy(frame + ETHER_SOURCE_AT, gate.guest_mac, MAC_BYTES);
	memcpy(frame, gate.gateway_mac, MAC_BYTES);
	if (size < ETHER_HEAD_BYTES + head)
		return;
	length = is_ip6 ? get_be16(ip + IP6_LENGTH_AT) : get_be16(ip + IP4_LENGTH_AT) - head;
	if (length > size - ETHER_HEAD_BYTES - head)
		return;
	if (is_ip6) {
		memcpy(ip + IP6_SOURCE_AT, &gate.guest6, 16);
	} else {
		uint16_t checksum;

		memcpy(ip + IP4_SOURCE_AT, gate.guest4, 4);
		memset(ip + IP4_CHECKSUM_AT, 0, 2);
		checksum = checksum_fold(checksum_add(0, ip, IP4_HEAD_BYTES));
		memcpy(ip + IP4_CHECKSUM_AT, &checksum, 2);
	}
	protocol = is_ip6 ? ip[IP6_NEXT_AT] : ip[IP4_PROTOCOL_AT];
	at = protocol == IPPROTO_TCP   ? TCP_CHECKSUM_AT
	     : protocol == IPPROTO_UDP ? UDP_CHECKSUM_AT
				       : ICMP_CHECKSUM_AT;
	if (at + 2 <= length)
		put_checksum(ip, is_ip6, protocol, length, at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *frame;

	if (size > LIMIT_FRAME_BYTES)
		return 0;
	gate_init(&gate, (const uint8_t *)GUEST_MAC, LIMIT_MTU);
	try_frame(data, size);
	if (size < ETHER_HEAD_BYTES)
		return 0;
	frame = malloc(size);
	require(frame != NULL);
	memcpy(frame, data, size);
	make_plausible(frame, size);
	try_frame(frame, size);
	free(frame);
	return 0;
}
