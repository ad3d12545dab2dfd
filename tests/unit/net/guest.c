/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "gate.h"
#include "guest.h"

void guest_start(struct guest *guest, const char *network, const char *ports)
{
	int frames[2], control[2], config[2];
	char text[8192];
	const char *path = getenv("KRUN_NET");
	const char *argv[] = {"krun-net", "--frames-fd", "3", "--control-fd", "4", NULL};
	struct err err = {0};

	assert_non_null(path);
	memset(guest, 0, sizeof(*guest));
	guest->next_port = 40000;
	assert_int_equal(fd_socketpair(frames), 0);
	assert_int_equal(fd_socketpair(control), 0);
	assert_int_equal(fd_pipe(config), 0);
	{
		const struct spawn_fd fds[] = {{config[0], 0},
					       {2, 2},
					       {frames[1], 3},
					       {control[1], 4}};
		const struct spawn spawn = {
			.path = path,
			.argv = (char *const *)argv,
			.fds = fds,
			.fd_count = ARRAY_SIZE(fds),
			.die_with_parent = true,
		};

		assert_int_equal(spawn_program(&spawn, &guest->pid, &err), 0);
	}
	snprintf(text, sizeof(text),
		 "{\"mac\": \"" CRAFT_MAC_TEXT
		 "\", \"network\": %s, \"ports\": %s, \"mtu\": 65520}",
		 network, ports);
	assert_int_equal(fd_write_all(config[1], text, strlen(text)), 0);
	fd_close(config[0]);
	fd_close(config[1]);
	fd_close(frames[1]);
	fd_close(control[1]);
	guest->frames_fd = frames[0];
	guest->control_fd = control[0];
}

int guest_wait(struct guest *guest)
{
	int64_t deadline_ms = clock_monotonic_ms() + GUEST_TIMEOUT_MS;
	struct pollfd end = {.fd = guest->control_fd, .events = POLLIN};
	uint8_t data[256];
	int status = -1;

	/* Its end closes the control socket; what it said last is read away. */
	while (guest->control_fd >= 0) {
		assert_true(poll(&end, 1, clock_left_ms(deadline_ms)) == 1);
		if (read(guest->control_fd, data, sizeof(data)) <= 0)
			break;
	}
	assert_int_equal(waitpid(guest->pid, &status, 0), guest->pid);
	guest->pid = 0;
	return status;
}

int guest_stop(struct guest *guest)
{
	int status = -1;

	guest->frames_fd = fd_close(guest->frames_fd);
	if (guest->pid > 0)
		status = guest_wait(guest);
	guest->control_fd = fd_close(guest->control_fd);
	return status;
}

static void wait_readable(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&wait, 1, GUEST_TIMEOUT_MS), 1);
}

struct wire_frame guest_message(struct guest *guest)
{
	struct wire_frame frame;
	size_t used;

	memmove(guest->wire, guest->wire + guest->wire_used, guest->wire_length - guest->wire_used);
	guest->wire_length -= guest->wire_used;
	guest->wire_used = 0;
	while (wire_frame_parse(guest->wire, guest->wire_length, &frame, &used) == -EAGAIN) {
		ssize_t n;

		wait_readable(guest->control_fd);
		n = read(guest->control_fd, guest->wire + guest->wire_length,
			 sizeof(guest->wire) - guest->wire_length);
		assert_true(n > 0);
		guest->wire_length += (size_t)n;
	}
	guest->wire_used = used;
	return frame;
}

static void expect_hello(struct guest *guest)
{
	struct wire_frame frame = guest_message(guest);
	struct wire_hello hello;

	assert_int_equal(frame.type, WIRE_HELLO);
	assert_int_equal(wire_unpack(&wire_hello_message, frame.payload, frame.length, &hello), 0);
	assert_int_equal(hello.role, WIRE_ROLE_NET);
	assert_int_equal(hello.version, WIRE_VERSION);
}

struct wire_net_ready guest_ready(struct guest *guest)
{
	struct wire_net_ready ready;
	struct wire_frame frame;

	expect_hello(guest);
	frame = guest_message(guest);
	assert_int_equal(frame.type, WIRE_NET_READY);
	assert_int_equal(wire_unpack(&wire_net_ready_message, frame.payload, frame.length, &ready),
			 0);
	return ready;
}

const char *guest_failure(struct guest *guest)
{
	struct wire_frame frame;
	struct wire_fail fail;

	expect_hello(guest);
	frame = guest_message(guest);
	assert_int_equal(frame.type, WIRE_FAIL);
	assert_int_equal(wire_unpack(&wire_fail_message, frame.payload, frame.length, &fail), 0);
	return fail.text;
}

struct wire_net_stats guest_stats(struct guest *guest)
{
	uint8_t ask[WIRE_HEAD_BYTES];
	struct wire_net_stats stats;
	struct wire_frame frame;

	wire_frame_head(ask, WIRE_STATS_ASK, 0, 0);
	assert_int_equal(fd_write_all_until(guest->control_fd, ask, sizeof(ask),
					    clock_monotonic_ms() + GUEST_TIMEOUT_MS),
			 0);
	frame = guest_message(guest);
	assert_int_equal(frame.type, WIRE_NET_STATS);
	assert_int_equal(wire_unpack(&wire_net_stats_message, frame.payload, frame.length, &stats),
			 0);
	return stats;
}

void guest_send(struct guest *guest)
{
	uint8_t head[FRAMES_HEAD_BYTES];
	int64_t deadline_ms = clock_monotonic_ms() + GUEST_TIMEOUT_MS;

	put_be32(head, (uint32_t)guest->out.length);
	assert_int_equal(fd_write_all_until(guest->frames_fd, head, sizeof(head), deadline_ms), 0);
	assert_int_equal(fd_write_all_until(guest->frames_fd, guest->out.frame, guest->out.length,
					    deadline_ms),
			 0);
}

uint8_t *guest_next(struct guest *guest, int timeout_ms, size_t *ret_length)
{
	int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
	uint8_t *frame;
	int r;

	while ((r = frames_next(&guest->reader, &frame, ret_length)) == -EAGAIN) {
		struct pollfd wait = {.fd = guest->frames_fd, .events = POLLIN};

		if (poll(&wait, 1, clock_left_ms(deadline_ms)) <= 0)
			return NULL;
		assert_true(frames_read(&guest->reader, guest->frames_fd) > 0);
	}
	assert_int_equal(r, 0);
	return frame;
}

uint8_t *guest_expect(struct guest *guest, uint8_t protocol, uint16_t port,
		      struct packet *ret_packet)
{
	struct gate gate;

	gate_init(&gate, (const uint8_t *)CRAFT_MAC, 65520);
	for (;;) {
		size_t length;
		uint8_t *frame = guest_next(guest, GUEST_TIMEOUT_MS, &length);

		assert_non_null(frame);
		assert_memory_equal(frame + ETHER_TARGET_AT, CRAFT_MAC, MAC_BYTES);
		assert_memory_equal(frame + ETHER_SOURCE_AT, CRAFT_GATEWAY_MAC, MAC_BYTES);
		if (gate_check_to_guest(&gate, frame, length, ret_packet) == GATE_DROP)
			continue;
		assert_true(craft_is_right(frame, length));
		if (ret_packet->protocol != protocol ||
		    (port != 0 && ret_packet->guest_port != port))
			continue;
		if (!ret_packet->is_ip6)
			ret_packet->length = (size_t)ETHER_HEAD_BYTES +
					     get_be16(frame + ETHER_HEAD_BYTES + IP4_LENGTH_AT);
		if (protocol == IPPROTO_TCP)
			ret_packet->payload_at =
				ret_packet->head_at +
				(size_t)(frame[ret_packet->head_at + TCP_OFFSET_AT] >> 4) * 4;
		else
			ret_packet->payload_at = ret_packet->head_at + UDP_HEAD_BYTES;
		return frame;
	}
}

static void send_segment(struct guest_tcp *tcp, uint8_t flags, const void *data, size_t length)
{
	struct craft_tcp head = {.from = tcp->port,
				 .to = tcp->remote_port,
				 .flags = flags,
				 .sequence = tcp->sequence,
				 .ack = tcp->ack};

	craft_tcp(&tcp->guest->out, tcp->remote, &head, data, length);
	guest_send(tcp->guest);
	tcp->sequence += (uint32_t)length + ((flags & (TCP_SYN | TCP_FIN)) != 0);
}

/* The next segment of this connection; an earlier one at the same port may have some left. */
static const uint8_t *expect_segment(struct guest_tcp *tcp, struct packet *ret_packet)
{
	const uint8_t *frame;

	do {
		frame = guest_expect(tcp->guest, IPPROTO_TCP, tcp->port, ret_packet);
	} while (ret_packet->remote_port != tcp->remote_port);
	return frame;
}

int guest_connect(struct guest *guest, const char *target, uint16_t port, struct guest_tcp *ret_tcp)
{
	struct guest_tcp *tcp = ret_tcp;
	struct packet packet;
	const uint8_t *segment;

	memset(tcp, 0, sizeof(*tcp));
	tcp->guest = guest;
	snprintf(tcp->remote, sizeof(tcp->remote), "%s", target);
	tcp->port = guest->next_port++;
	tcp->remote_port = port;
	tcp->sequence = 1000;
	send_segment(tcp, TCP_SYN, NULL, 0);
	segment = expect_segment(tcp, &packet) + packet.head_at;
	assert_int_equal(get_be32(segment + TCP_ACK_AT), tcp->sequence);
	if ((packet.tcp_flags & TCP_RST) != 0)
		return -ECONNREFUSED;
	assert_int_equal(packet.tcp_flags, TCP_SYN | TCP_ACK);
	tcp->ack = get_be32(segment + TCP_SEQUENCE_AT) + 1;
	send_segment(tcp, TCP_ACK, NULL, 0);
	return 0;
}

void guest_accept(struct guest *guest, uint16_t port, struct guest_tcp *ret_tcp)
{
	struct guest_tcp *tcp = ret_tcp;
	struct packet packet;
	const uint8_t *segment;

	do {
		segment = guest_expect(guest, IPPROTO_TCP, port, &packet) + packet.head_at;
	} while (packet.tcp_flags != TCP_SYN);
	memset(tcp, 0, sizeof(*tcp));
	tcp->guest = guest;
	tcp->port = port;
	tcp->remote_port = packet.remote_port;
	if (packet.is_ip6)
		inet_ntop(AF_INET6, &packet.remote, tcp->remote, sizeof(tcp->remote));
	else
		inet_ntop(AF_INET, &packet.remote.s6_addr[12], tcp->remote, sizeof(tcp->remote));
	tcp->sequence = 5000;
	tcp->ack = get_be32(segment + TCP_SEQUENCE_AT) + 1;
	send_segment(tcp, TCP_SYN | TCP_ACK, NULL, 0);
	do {
		segment = expect_segment(tcp, &packet) + packet.head_at;
	} while (packet.tcp_flags == TCP_SYN);
	assert_int_equal(packet.tcp_flags & (TCP_ACK | TCP_RST), TCP_ACK);
	assert_int_equal(get_be32(segment + TCP_ACK_AT), tcp->sequence);
}

void guest_tcp_send(struct guest_tcp *tcp, const void *data, size_t length)
{
	send_segment(tcp, TCP_ACK, data, length);
}

/* One more segment's data, acknowledged whole. */
static void keep_segment(struct guest_tcp *tcp)
{
	struct packet packet;
	const uint8_t *frame = expect_segment(tcp, &packet);
	size_t bytes = packet.length - packet.payload_at;

	assert_int_equal(packet.tcp_flags & TCP_RST, 0);
	/* In order, or a repetition. */
	if (bytes == 0 || get_be32(frame + packet.head_at + TCP_SEQUENCE_AT) != tcp->ack)
		return;
	assert_true(bytes <= sizeof(tcp->data));
	memcpy(tcp->data, frame + packet.payload_at, bytes);
	tcp->kept = bytes;
	tcp->ack += (uint32_t)bytes;
	send_segment(tcp, TCP_ACK, NULL, 0);
}

void guest_tcp_receive(struct guest_tcp *tcp, void *data, size_t length)
{
	size_t got = 0;

	while (got < length) {
		size_t bytes;

		while (tcp->kept == 0)
			keep_segment(tcp);
		bytes = MIN(tcp->kept, length - got);
		memcpy((uint8_t *)data + got, tcp->data, bytes);
		memmove(tcp->data, tcp->data + bytes, tcp->kept - bytes);
		tcp->kept -= bytes;
		got += bytes;
	}
}

void guest_tcp_close(struct guest_tcp *tcp)
{
	struct packet packet = {0};

	send_segment(tcp, TCP_FIN | TCP_ACK, NULL, 0);
	while ((packet.tcp_flags & (TCP_FIN | TCP_RST)) == 0)
		expect_segment(tcp, &packet);
	tcp->ack++;
	send_segment(tcp, TCP_ACK, NULL, 0);
}
