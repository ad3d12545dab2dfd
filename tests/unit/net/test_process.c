/* SPDX-License-Identifier: Apache-2.0 */
/* krun-net as it runs, against a guest made of frames and sockets of the host. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "guest.h"

#define USER      "{\"mode\": \"user\"}"
#define USER_NONE "{\"mode\": \"user\", \"allow_list\": []}"

static struct guest guest;
static int listen_fd = -1, host_fd = -1;

static int tear_down(void **state)
{
	if (guest.pid > 0)
		kill(guest.pid, SIGKILL);
	guest_stop(&guest);
	listen_fd = fd_close(listen_fd);
	host_fd = fd_close(host_fd);
	return 0;
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket on the host's loopback at a port of its own. */
static int bind_loopback(int type, uint16_t *ret_port)
{
	struct sockaddr_in address = loopback(0);
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static int connect_loopback(int type, uint32_t port)
{
	struct sockaddr_in address = loopback((uint16_t)port);
	struct timeval timeout = {.tv_sec = GUEST_TIMEOUT_MS / 1000};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void receive_all(int fd, void *data, size_t length)
{
	for (size_t got = 0; got < length;) {
		ssize_t n = recv(fd, (char *)data + got, length - got, 0);

		assert_true(n > 0);
		got += (size_t)n;
	}
}

static void start(const char *network, const char *ports)
{
	guest_start(&guest, network, ports);
}

static void the_real_ports_are_reported(void **state)
{
	struct wire_net_ready ready;

	start(USER, "[{\"guest_port\": 80}, {\"guest_port\": 53, \"protocol\": \"udp\"}]");
	ready = guest_ready(&guest);
	assert_int_equal(ready.host_port_count, 2);
	assert_int_not_equal(ready.host_ports[0], 0);
	assert_int_not_equal(ready.host_ports[1], 0);
	host_fd = connect_loopback(SOCK_STREAM, ready.host_ports[0]);
}

static void a_taken_port_is_named(void **state)
{
	static const char *const protocols[] = {"tcp", "udp"};
	char ports[256], wanted[64];
	uint16_t port;

	for (int i = 0; i < 2; i++) {
		int status;

		listen_fd = bind_loopback(i == 0 ? SOCK_STREAM : SOCK_DGRAM, &port);
		snprintf(ports, sizeof(ports),
			 "[{\"guest_port\": 80, \"host_port\": %d, \"protocol\": \"%s\"}]", port,
			 protocols[i]);
		start(USER, ports);
		snprintf(wanted, sizeof(wanted), "127.0.0.1:%d/%s is in use", port, protocols[i]);
		assert_non_null(strstr(guest_failure(&guest), wanted));
		status = guest_wait(&guest);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 1);
		tear_down(state);
	}
}

static void an_address_that_the_host_lacks_is_named(void **state)
{
	start(USER, "[{\"guest_port\": 80, \"host_ip\": \"203.0.113.77\"}]");
	assert_non_null(strstr(guest_failure(&guest), "203.0.113.77:0/tcp: the host has no such"));
}

static void a_bad_rule_is_named(void **state)
{
	start("{\"mode\": \"user\", \"allow_list\": [\"10.0.0.0/99\"]}", "[]");
	assert_non_null(strstr(guest_failure(&guest), "10.0.0.0/99"));
}

static void the_end_of_either_socket_ends_it(void **state)
{
	int status;

	start(USER, "[]");
	guest_ready(&guest);
	guest.frames_fd = fd_close(guest.frames_fd);
	status = guest_wait(&guest);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	tear_down(state);

	start(USER, "[]");
	guest_ready(&guest);
	guest.control_fd = fd_close(guest.control_fd);
	status = guest_wait(&guest);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_broken_stream_ends_it(void **state)
{
	int status;

	start(USER, "[]");
	guest_ready(&guest);
	assert_int_equal(fd_write_all(guest.frames_fd, "\xff\xff\xff\xff", 4), 0);
	status = guest_wait(&guest);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static void the_gateway_answers_arp_and_ping(void **state)
{
	static const char *const gateways[] = {"192.168.127.1", "fd00:6b72:756e::1"};
	struct packet packet;
	size_t length;
	uint8_t *frame;

	start(USER, "[]");
	guest_ready(&guest);
	craft_arp_request(&guest.out, "192.168.127.1");
	guest_send(&guest);
	frame = guest_next(&guest, GUEST_TIMEOUT_MS, &length);
	assert_non_null(frame);
	assert_int_equal(get_be16(frame + ETHER_TYPE_AT), ETHER_TYPE_ARP);
	for (int i = 0; i < 2; i++) {
		craft_echo(&guest.out, gateways[i], 7);
		guest_send(&guest);
		frame = guest_expect(&guest, i == 0 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 0, &packet);
		assert_int_equal(frame[packet.head_at], i == 0 ? 0 : 129);
		assert_int_equal(get_be16(frame + packet.head_at + ICMP_ID_AT), 7);
	}
}

/* Nothing of the host's loopback is reachable by any of its names. */
static void the_hosts_loopback_is_refused(void **state)
{
	static const char *const names[] = {"192.168.127.1",     "192.168.127.254",
					    "192.168.127.3",     "127.0.0.1",
					    "0.0.0.0",           "fd00:6b72:756e::1",
					    "fd00:6b72:756e::9", "::1",
					    "169.254.169.254"};
	static const char *const networks[] =
		{USER, USER_NONE,
		 "{\"mode\": \"user\", \"allow_list\": [\"0.0.0.0/0\", \"::/0\"]}"};
	struct guest_tcp tcp;
	struct packet packet;
	uint8_t *frame;
	uint16_t port;

	listen_fd = bind_loopback(SOCK_STREAM, &port);
	assert_int_equal(fd_set_nonblock(listen_fd, true), 0);
	for (size_t i = 0; i < ARRAY_SIZE(networks); i++) {
		start(networks[i], "[]");
		guest_ready(&guest);
		for (size_t j = 0; j < ARRAY_SIZE(names); j++)
			assert_int_equal(guest_connect(&guest, names[j], port, &tcp),
					 -ECONNREFUSED);
		craft_udp(&guest.out, "192.168.127.1", 5000, port, "x", 1);
		guest_send(&guest);
		frame = guest_expect(&guest, IPPROTO_ICMP, 0, &packet);
		assert_int_equal(frame[packet.head_at], ICMP_TYPE_UNREACHABLE);
		assert_int_equal(frame[packet.head_at + 1], ICMP_CODE_PROHIBITED);
		assert_int_equal(accept(listen_fd, NULL, NULL), -1);
		assert_int_equal(errno, EAGAIN);
		guest_stop(&guest);
	}
}

static void the_hosts_loopback_opens_to_a_rule(void **state)
{
	struct guest_tcp tcp;
	struct packet packet;
	struct sockaddr_in peer;
	socklen_t length = sizeof(peer);
	uint16_t port, udp_port;
	char data[16];
	uint8_t *frame;
	int udp_fd;

	listen_fd = bind_loopback(SOCK_STREAM, &port);
	start("{\"mode\": \"user\", \"allow_list\": [\"192.168.127.254\"]}", "[]");
	guest_ready(&guest);
	assert_int_equal(guest_connect(&guest, "192.168.127.1", port, &tcp), -ECONNREFUSED);
	assert_int_equal(guest_connect(&guest, "192.168.127.254", port, &tcp), 0);
	host_fd = accept(listen_fd, NULL, NULL);
	assert_true(host_fd >= 0);
	guest_tcp_send(&tcp, "ping", 4);
	receive_all(host_fd, data, 4);
	assert_memory_equal(data, "ping", 4);
	assert_int_equal(fd_write_all(host_fd, "pong!", 5), 0);
	guest_tcp_receive(&tcp, data, 5);
	assert_memory_equal(data, "pong!", 5);
	host_fd = fd_close(host_fd);
	guest_tcp_close(&tcp);

	udp_fd = bind_loopback(SOCK_DGRAM, &udp_port);
	craft_udp(&guest.out, "192.168.127.254", 5000, udp_port, "ask", 3);
	guest_send(&guest);
	assert_int_equal(recvfrom(udp_fd, data, sizeof(data), 0, (struct sockaddr *)&peer, &length),
			 3);
	assert_int_equal(sendto(udp_fd, "tell", 4, 0, (struct sockaddr *)&peer, length), 4);
	fd_close(udp_fd);
	frame = guest_expect(&guest, IPPROTO_UDP, 5000, &packet);
	assert_memory_equal(frame + packet.payload_at, "tell", 4);
	assert_memory_equal(frame + ETHER_HEAD_BYTES + IP4_SOURCE_AT, "\xc0\xa8\x7f\xfe", 4);
}

static void use_published_tcp(uint32_t host_port)
{
	struct guest_tcp tcp;
	char data[16];

	host_fd = connect_loopback(SOCK_STREAM, host_port);
	guest_accept(&guest, 80, &tcp);
	assert_string_equal(tcp.remote, "192.168.127.1");
	assert_int_equal(fd_write_all(host_fd, "GET /", 5), 0);
	guest_tcp_receive(&tcp, data, 5);
	assert_memory_equal(data, "GET /", 5);
	guest_tcp_send(&tcp, "200 OK", 6);
	receive_all(host_fd, data, 6);
	assert_memory_equal(data, "200 OK", 6);
	host_fd = fd_close(host_fd);
	guest_tcp_close(&tcp);
}

static void a_published_tcp_port_leads_into_the_guest(void **state)
{
	struct wire_net_ready ready;

	start(USER, "[{\"guest_port\": 80}]");
	ready = guest_ready(&guest);
	for (int i = 0; i < 3; i++)
		use_published_tcp(ready.host_ports[0]);
}

/* What the host began is answered, whatever the list says; what the guest begins is refused. */
static void a_published_port_works_with_an_empty_list(void **state)
{
	struct wire_net_ready ready;
	struct guest_tcp tcp;

	start(USER_NONE, "[{\"guest_port\": 80}]");
	ready = guest_ready(&guest);
	use_published_tcp(ready.host_ports[0]);
	assert_int_equal(guest_connect(&guest, "203.0.113.5", 80, &tcp), -ECONNREFUSED);
	assert_int_equal(guest_connect(&guest, "2001:db8::5", 80, &tcp), -ECONNREFUSED);
}

static void a_published_port_may_be_of_ipv6(void **state)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct wire_net_ready ready;
	struct guest_tcp tcp;
	char data[8];

	host_fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (host_fd < 0 || bind(host_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		skip();
	start(USER_NONE, "[{\"guest_port\": 80, \"host_ip\": \"::1\"}]");
	ready = guest_ready(&guest);
	address.sin6_port = htons((uint16_t)ready.host_ports[0]);
	assert_int_equal(connect(host_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	guest_accept(&guest, 80, &tcp);
	assert_string_equal(tcp.remote, "fd00:6b72:756e::1");
	guest_tcp_send(&tcp, "six", 3);
	receive_all(host_fd, data, 3);
}

static void a_published_udp_port_leads_into_the_guest(void **state)
{
	struct wire_net_ready ready;
	struct packet packet;
	char data[16];

	start(USER_NONE, "[{\"guest_port\": 53, \"protocol\": \"udp\"}]");
	ready = guest_ready(&guest);
	/* Two clients at once: each gets its own answer. */
	for (int i = 0; i < 2; i++) {
		uint8_t *frame;

		host_fd = connect_loopback(SOCK_DGRAM, ready.host_ports[0]);
		assert_int_equal(send(host_fd, "ask", 3, 0), 3);
		frame = guest_expect(&guest, IPPROTO_UDP, 53, &packet);
		assert_memory_equal(frame + packet.payload_at, "ask", 3);
		assert_memory_equal(frame + ETHER_HEAD_BYTES + IP4_SOURCE_AT, "\xc0\xa8\x7f\x01",
				    4);
		craft_udp(&guest.out, "192.168.127.1", 53, packet.remote_port, "tell", 4);
		guest_send(&guest);
		assert_int_equal(recv(host_fd, data, sizeof(data), 0), 4);
		assert_memory_equal(data, "tell", 4);
		host_fd = fd_close(host_fd);
	}
	/* But the port is no way to others on the host. */
	craft_udp(&guest.out, "192.168.127.1", 53, (uint16_t)ready.host_ports[0], "x", 1);
	guest_send(&guest);
	assert_int_equal(guest_expect(&guest, IPPROTO_ICMP, 0, &packet)[packet.head_at],
			 ICMP_TYPE_UNREACHABLE);
}

/* 4 MiB each way, more than any buffer between holds. */
static void much_data_arrives_whole(void **state)
{
	enum { CHUNK = 32768, TOTAL = 4 << 20 };
	static uint8_t data[CHUNK], got[CHUNK];
	struct wire_net_ready ready;
	struct guest_tcp tcp;
	pid_t writer;
	int status;

	start(USER, "[{\"guest_port\": 80}]");
	ready = guest_ready(&guest);
	host_fd = connect_loopback(SOCK_STREAM, ready.host_ports[0]);
	guest_accept(&guest, 80, &tcp);
	for (size_t i = 0; i < CHUNK; i++)
		data[i] = (uint8_t)(i * 7 >> 3);
	writer = fork();
	assert_true(writer >= 0);
	if (writer == 0) {
		for (int i = 0; i < TOTAL / CHUNK; i++) {
			if (fd_write_all(host_fd, data, CHUNK) < 0)
				_exit(1);
		}
		_exit(0);
	}
	for (int i = 0; i < TOTAL / CHUNK; i++) {
		guest_tcp_receive(&tcp, got, CHUNK);
		assert_memory_equal(got, data, CHUNK);
	}
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_int_equal(status, 0);
	for (int i = 0; i < TOTAL / CHUNK; i++) {
		guest_tcp_send(&tcp, data, CHUNK);
		receive_all(host_fd, got, CHUNK);
		assert_memory_equal(got, data, CHUNK);
	}
}

static void read_proc(const char *name, const char *field, char ret_value[64])
{
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)guest.pid, name);
	file = fopen(path, "re");
	assert_non_null(file);
	ret_value[0] = '\0';
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, field, strlen(field)) == 0)
			sscanf(line + strlen(field), " %63s", ret_value);
	}
	fclose(file);
	assert_int_not_equal(ret_value[0], '\0');
}

static long resident_kib(void)
{
	char value[64];

	read_proc("status", "VmRSS:", value);
	return atol(value);
}

/* A frame that makes an answer, by turns of every kind, which nobody reads. */
static void send_flood(int count)
{
	for (int i = 0; i < count; i++) {
		struct craft_tcp syn = {.from = (uint16_t)(i % 60000 + 1),
					.to = (uint16_t)(i % 50000 + 1),
					.flags = TCP_SYN};

		switch (i % 5) {
		case 0:
			craft_tcp(&guest.out, "203.0.113.5", &syn, NULL, 0);
			break;
		case 1:
			craft_udp(&guest.out, "198.51.100.7", (uint16_t)(i % 60000 + 1), 9, "x", 1);
			break;
		case 2:
			craft_echo(&guest.out, "192.168.127.1", (uint16_t)i);
			break;
		case 3:
			craft_arp_request(&guest.out, "192.168.127.1");
			break;
		default:
			craft_udp(&guest.out, "192.168.127.1", (uint16_t)(i % 60000 + 1), 53,
				  "\1\1\1\0\0\1\0\0\0\0\0\0\3www\0\0\1\0\1", 21);
			break;
		}
		guest_send(&guest);
	}
}

/* Waits until everything sent so far has been looked at: answers are in order. */
static void drain(void)
{
	struct packet packet;
	const uint8_t *frame;

	craft_echo(&guest.out, "192.168.127.1", 0xbeef);
	guest_send(&guest);
	do {
		frame = guest_expect(&guest, IPPROTO_ICMP, 0, &packet);
	} while (frame[packet.head_at] != 0 ||
		 get_be16(frame + packet.head_at + ICMP_ID_AT) != 0xbeef);
}

static void a_flood_does_not_grow_it(void **state)
{
	long before_kib, after_kib;

	start(USER_NONE, "[]");
	guest_ready(&guest);
	/* Once through, so that its own tables and the queue have been touched. */
	send_flood(40000);
	drain();
	before_kib = resident_kib();
	send_flood(120000);
	drain();
	after_kib = resident_kib();
	assert_true(after_kib - before_kib < 512);
}

static void what_was_refused_is_counted(void **state)
{
	struct guest_tcp tcp;
	struct wire_net_stats stats;
	int64_t deadline_ms;

	start(USER_NONE, "[]");
	guest_ready(&guest);
	for (int i = 0; i < 3; i++)
		assert_int_equal(guest_connect(&guest, "203.0.113.5", 80, &tcp), -ECONNREFUSED);
	craft_udp(&guest.out, "255.255.255.255", 68, 67, "x", 1);
	guest_send(&guest);
	deadline_ms = clock_monotonic_ms() + GUEST_TIMEOUT_MS;
	do {
		stats = guest_stats(&guest);
	} while (stats.sent_frames < 4 && clock_left_ms(deadline_ms) > 0);
	assert_int_equal(stats.refused_flows, 3);
	assert_int_equal(stats.dropped_frames, 1);
	assert_int_equal(stats.received_frames, 3);
}

static bool ends_with_status_0(void)
{
	int status = guest_wait(&guest);

	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void say_to_krun_net(const void *data, size_t length)
{
	assert_int_equal(fd_write_all_until(guest.control_fd, data, length,
					    clock_monotonic_ms() + GUEST_TIMEOUT_MS),
			 0);
}

static void a_question_may_come_in_pieces_and_behind_what_is_not_known(void **state)
{
	static const char text[] = "more than it knows";
	uint8_t head[WIRE_HEAD_BYTES];

	start(USER_NONE, "[]");
	guest_ready(&guest);
	wire_frame_head(head, (enum wire_type)0x7f, 0, sizeof(text));
	say_to_krun_net(head, 3);
	say_to_krun_net(head + 3, sizeof(head) - 3);
	say_to_krun_net(text, sizeof(text));
	assert_int_equal(guest_stats(&guest).sent_frames, 0);
	assert_int_equal(guest_stats(&guest).sent_frames, 0);
}

static void a_supervisor_that_speaks_nonsense_ends_it(void **state)
{
	uint8_t nonsense[64];

	start(USER_NONE, "[]");
	guest_ready(&guest);
	memset(nonsense, 0xff, sizeof(nonsense));
	say_to_krun_net(nonsense, sizeof(nonsense));
	assert_true(ends_with_status_0());
}

static void it_runs_in_a_sandbox(void **state)
{
	char value[64];

	start(USER, "[]");
	guest_ready(&guest);
	read_proc("status", "Seccomp:", value);
	assert_string_equal(value, "2");
	read_proc("status", "NoNewPrivs:", value);
	assert_string_equal(value, "1");
	read_proc("limits", "Max open files", value);
	assert_true(atol(value) <= 2048);
}

#define T(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_real_ports_are_reported),
		T(a_taken_port_is_named),
		T(an_address_that_the_host_lacks_is_named),
		T(a_bad_rule_is_named),
		T(the_end_of_either_socket_ends_it),
		T(a_broken_stream_ends_it),
		T(the_gateway_answers_arp_and_ping),
		T(the_hosts_loopback_is_refused),
		T(the_hosts_loopback_opens_to_a_rule),
		T(a_published_tcp_port_leads_into_the_guest),
		T(a_published_port_works_with_an_empty_list),
		T(a_published_port_may_be_of_ipv6),
		T(a_published_udp_port_leads_into_the_guest),
		T(much_data_arrives_whole),
		T(a_flood_does_not_grow_it),
		T(what_was_refused_is_counted),
		T(a_question_may_come_in_pieces_and_behind_what_is_not_known),
		T(a_supervisor_that_speaks_nonsense_ends_it),
		T(it_runs_in_a_sandbox),
	};

	signal(SIGPIPE, SIG_IGN);
	/* Written in case of a hang: every wait above has a deadline of its own. */
	alarm(240);
	return cmocka_run_group_tests_name("krun-net", tests, NULL, NULL);
}
