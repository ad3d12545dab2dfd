/* SPDX-License-Identifier: Apache-2.0 */
/*
 * krun-net with an internet of its own: a network namespace whose loopback interface also has
 * public addresses, and resolvers at port 53. Where namespaces cannot be made the tests are skipped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "guest.h"

#define RESOLVERS "\"dns\": [\"127.0.0.53\"]"
#define SITE      "203.0.113.5"
#define SITE6     "2001:db8::5"
#define OTHER     "203.0.113.6"

#define HEAD "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define ALLOWED                                                                                    \
	"\x07"                                                                                     \
	"example"                                                                                  \
	"\x03"                                                                                     \
	"org"                                                                                      \
	"\x00\x00\x01\x00\x01"
#define EVIL                                                                                       \
	"\x04"                                                                                     \
	"evil"                                                                                     \
	"\x03"                                                                                     \
	"com"                                                                                      \
	"\x00\x00\x01\x00\x01"
#define A_SITE "\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xcb\x00\x71\x05"

/* Of krun-net with a thousand idle connections. AddressSanitizer touches what libslirp does not. */
#ifdef __SANITIZE_ADDRESS__
#define RESIDENT_KIB_MAX (1024 * 1024)
#else
#define RESIDENT_KIB_MAX (40 * 1024)
#endif

static struct guest guest;
static int listen_fd = -1, host_fd = -1, resolver_fd = -1;
static bool has_namespace;

static int set_up(void **state)
{
	if (!has_namespace)
		skip();
	return 0;
}

static int tear_down(void **state)
{
	if (guest.pid > 0)
		kill(guest.pid, SIGKILL);
	guest_stop(&guest);
	listen_fd = fd_close(listen_fd);
	host_fd = fd_close(host_fd);
	resolver_fd = fd_close(resolver_fd);
	return 0;
}

static void add_address(int fd, const char *name, const char *text)
{
	struct ifreq request = {0};
	struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	address->sin_family = AF_INET;
	if (inet_pton(AF_INET, text, &address->sin_addr) != 1 ||
	    ioctl(fd, SIOCSIFADDR, &request) < 0)
		perror(text);
}

/* struct in6_ifreq, whose header does not go together with the C library's. */
struct request6 {
	struct in6_addr address;
	uint32_t prefix_bits;
	int index;
};

static bool make_internet(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	struct request6 request6 = {.prefix_bits = 128};
	int fd, fd6;

	if (unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0) {
		fd_close(fd);
		return false;
	}
	add_address(fd, "lo:1", SITE);
	add_address(fd, "lo:2", OTHER);
	fd_close(fd);
	fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	request6.index = (int)if_nametoindex("lo");
	if (fd6 >= 0 && inet_pton(AF_INET6, SITE6, &request6.address) == 1 &&
	    ioctl(fd6, SIOCSIFADDR, &request6) < 0)
		perror(SITE6);
	fd_close(fd6);
	return true;
}

/* A socket at an address and port of this internet. */
static int bind_at(const char *text, int type, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct timeval timeout = {.tv_sec = GUEST_TIMEOUT_MS / 1000};
	bool is_ip6 = inet_pton(AF_INET, text, &address.sin_addr) != 1;
	int fd = socket(is_ip6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (is_ip6) {
		assert_int_equal(inet_pton(AF_INET6, text, &address6.sin6_addr), 1);
		assert_int_equal(bind(fd, (struct sockaddr *)&address6, sizeof(address6)), 0);
	} else {
		assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	}
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 4096), 0);
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

static void start(const char *network)
{
	char text[512];

	snprintf(text, sizeof(text), "{\"mode\": \"user\", %s}", network);
	guest_start(&guest, text, "[]");
	guest_ready(&guest);
}

static void reach(const char *target, uint16_t port)
{
	struct guest_tcp tcp;
	char data[8];

	assert_int_equal(guest_connect(&guest, target, port, &tcp), 0);
	host_fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(host_fd >= 0);
	guest_tcp_send(&tcp, "ping", 4);
	receive_all(host_fd, data, 4);
	assert_memory_equal(data, "ping", 4);
	assert_int_equal(fd_write_all(host_fd, "pong", 4), 0);
	guest_tcp_receive(&tcp, data, 4);
	assert_memory_equal(data, "pong", 4);
	host_fd = fd_close(host_fd);
	guest_tcp_close(&tcp);
}

static void without_a_list_the_internet_is_reachable(void **state)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);
	struct packet packet;
	char data[8];
	uint8_t *frame;

	start(RESOLVERS);
	listen_fd = bind_at(SITE, SOCK_STREAM, 80);
	reach(SITE, 80);
	fd_close(listen_fd);
	listen_fd = bind_at(SITE6, SOCK_STREAM, 80);
	reach(SITE6, 80);
	host_fd = bind_at(SITE, SOCK_DGRAM, 123);
	craft_udp(&guest.out, SITE, 5000, 123, "ask", 3);
	guest_send(&guest);
	assert_int_equal(recvfrom(host_fd, data, sizeof(data), 0, (struct sockaddr *)&peer,
				  &length),
			 3);
	assert_int_equal(sendto(host_fd, "tell", 4, 0, (struct sockaddr *)&peer, length), 4);
	frame = guest_expect(&guest, IPPROTO_UDP, 5000, &packet);
	assert_memory_equal(frame + packet.payload_at, "tell", 4);
	/* Somebody else who found the host's port is not heard. */
	fd_close(host_fd);
	host_fd = bind_at(OTHER, SOCK_DGRAM, 123);
	assert_int_equal(sendto(host_fd, "evil", 4, 0, (struct sockaddr *)&peer, length), 4);
	fd_close(host_fd);
	host_fd = bind_at(SITE, SOCK_DGRAM, 123);
	assert_int_equal(sendto(host_fd, "good", 4, 0, (struct sockaddr *)&peer, length), 4);
	frame = guest_expect(&guest, IPPROTO_UDP, 5000, &packet);
	assert_memory_equal(frame + packet.payload_at, "good", 4);
}

static void a_closed_port_is_a_reset(void **state)
{
	struct guest_tcp tcp;

	start(RESOLVERS);
	assert_int_equal(guest_connect(&guest, SITE, 81, &tcp), -ECONNREFUSED);
}

static void a_list_lets_through_what_it_says(void **state)
{
	struct guest_tcp tcp;

	start("\"allow_list\": [\"203.0.113.5:80\"], " RESOLVERS);
	listen_fd = bind_at("0.0.0.0", SOCK_STREAM, 80);
	reach(SITE, 80);
	assert_int_equal(guest_connect(&guest, OTHER, 80, &tcp), -ECONNREFUSED);
	assert_int_equal(guest_connect(&guest, SITE, 81, &tcp), -ECONNREFUSED);
	assert_int_equal(guest_connect(&guest, SITE6, 80, &tcp), -ECONNREFUSED);
}

/* The guest asks; what it hears is returned. */
static void ask(uint16_t port, const void *question, size_t length)
{
	craft_udp(&guest.out, "192.168.127.1", port, 53, question, length);
	guest_send(&guest);
}

static const uint8_t *hear(uint16_t port, size_t *ret_length)
{
	struct packet packet;
	const uint8_t *frame = guest_expect(&guest, IPPROTO_UDP, port, &packet);

	assert_int_equal(packet.remote_port, 53);
	*ret_length = packet.length - packet.payload_at;
	return frame + packet.payload_at;
}

static int hear_code(uint16_t port)
{
	size_t length;
	const uint8_t *answer = hear(port, &length);

	assert_memory_equal(answer, "\x12\x34", 2);
	return answer[3] & 15;
}

/* As the resolver: gets a question, and whom to answer. */
static size_t resolver_hear(uint8_t ret_question[512], struct sockaddr_in *ret_peer)
{
	socklen_t peer_length = sizeof(*ret_peer);
	ssize_t n = recvfrom(resolver_fd, ret_question, 512, 0, (struct sockaddr *)ret_peer,
			     &peer_length);

	assert_true(n > 12);
	return (size_t)n;
}

static void resolver_answer(const uint8_t *question, size_t length, const struct sockaddr_in *peer,
			    const void *record, size_t record_length)
{
	uint8_t answer[1024];

	memcpy(answer, question, length);
	answer[2] |= 0x80;
	answer[3] = 0x80;
	put_be16(answer + 6, record_length > 0);
	memcpy(answer + length, record, record_length);
	assert_true(sendto(resolver_fd, answer, length + record_length, 0,
			   (const struct sockaddr *)peer, sizeof(*peer)) > 0);
}

static void an_allowed_name_opens_its_address(void **state)
{
	struct sockaddr_in peer;
	uint8_t question[512];
	const uint8_t *answer;
	struct guest_tcp tcp;
	size_t length;

	start("\"allow_list\": [\"example.org:80\"], " RESOLVERS);
	listen_fd = bind_at("0.0.0.0", SOCK_STREAM, 80);
	resolver_fd = bind_at("127.0.0.53", SOCK_DGRAM, 53);
	assert_int_equal(guest_connect(&guest, SITE, 80, &tcp), -ECONNREFUSED);
	ask(6000, HEAD ALLOWED "junk", sizeof(HEAD ALLOWED "junk") - 1);
	length = resolver_hear(question, &peer);
	/* Asked anew: nothing rides along. */
	assert_int_equal(length, sizeof(HEAD ALLOWED) - 1);
	assert_memory_equal(question + 2, &(HEAD ALLOWED)[2], length - 2);
	/* A forged answer, by its id, is not taken and does no harm. */
	question[0] ^= 1;
	resolver_answer(question, length, &peer, A_SITE, sizeof(A_SITE) - 1);
	question[0] ^= 1;
	resolver_answer(question, length, &peer, A_SITE, sizeof(A_SITE) - 1);
	answer = hear(6000, &length);
	assert_int_equal(length, sizeof(HEAD ALLOWED A_SITE) - 1);
	assert_memory_equal(answer, "\x12\x34\x81\x80\0\1\0\1", 8);
	reach(SITE, 80);
	assert_int_equal(guest_connect(&guest, SITE, 81, &tcp), -ECONNREFUSED);
	assert_int_equal(guest_connect(&guest, OTHER, 80, &tcp), -ECONNREFUSED);
}

static void another_name_is_refused_and_not_asked_for(void **state)
{
	struct sockaddr_in peer;
	uint8_t question[512];

	start("\"allow_list\": [\"example.org\"], " RESOLVERS);
	resolver_fd = bind_at("127.0.0.53", SOCK_DGRAM, 53);
	ask(6000, HEAD EVIL, sizeof(HEAD EVIL) - 1);
	assert_int_equal(hear_code(6000), 5);
	/* The first thing that the resolver hears is the next, allowed name. */
	ask(6001, HEAD ALLOWED, sizeof(HEAD ALLOWED) - 1);
	resolver_hear(question, &peer);
	assert_memory_equal(question + 12, ALLOWED, sizeof(ALLOWED) - 1);
}

static void without_a_list_every_name_is_asked_for(void **state)
{
	struct sockaddr_in peer;
	uint8_t question[512];
	size_t length;

	start(RESOLVERS);
	resolver_fd = bind_at("127.0.0.53", SOCK_DGRAM, 53);
	ask(6000, HEAD EVIL, sizeof(HEAD EVIL) - 1);
	length = resolver_hear(question, &peer);
	resolver_answer(question, length, &peer, "", 0);
	assert_int_equal(hear_code(6000), 0);
}

static void the_next_resolver_is_asked(void **state)
{
	struct sockaddr_in peer;
	uint8_t question[512];
	size_t length;

	/* Nobody is at the first; the second one does not answer at once. */
	start("\"dns\": [\"127.0.0.52\", \"127.0.0.53\"]");
	resolver_fd = bind_at("127.0.0.53", SOCK_DGRAM, 53);
	ask(6000, HEAD EVIL, sizeof(HEAD EVIL) - 1);
	length = resolver_hear(question, &peer);
	resolver_answer(question, length, &peer, "", 0);
	assert_int_equal(hear_code(6000), 0);
	/* From now on it is asked first. */
	ask(6001, HEAD EVIL, sizeof(HEAD EVIL) - 1);
	length = resolver_hear(question, &peer);
	resolver_answer(question, length, &peer, "", 0);
	assert_int_equal(hear_code(6001), 0);
}

static void without_any_resolver_the_guest_hears_so(void **state)
{
	start("\"dns\": [\"127.0.0.52\"]");
	ask(6000, HEAD EVIL, sizeof(HEAD EVIL) - 1);
	assert_int_equal(hear_code(6000), 2);
}

static void a_silent_resolver_is_given_up(void **state)
{
	start(RESOLVERS);
	resolver_fd = bind_at("127.0.0.53", SOCK_DGRAM, 53);
	ask(6000, HEAD EVIL, sizeof(HEAD EVIL) - 1);
	assert_int_equal(hear_code(6000), 2);
}

static void more_questions_than_places_are_answered_or_failed(void **state)
{
	enum { QUESTIONS = 100 };
	int failed = 0, answered = 0;

	start(RESOLVERS);
	resolver_fd = bind_at("127.0.0.53", SOCK_DGRAM, 53);
	for (int i = 0; i < QUESTIONS; i++)
		ask((uint16_t)(7000 + i), HEAD EVIL, sizeof(HEAD EVIL) - 1);
	/* Pushed out by later ones, at once. */
	for (; failed < QUESTIONS - 32; failed++)
		assert_int_equal(hear_code((uint16_t)(7000 + failed)), 2);
	for (int i = 0; i < QUESTIONS; i++) {
		struct sockaddr_in peer;
		uint8_t question[512];
		size_t length = resolver_hear(question, &peer);

		resolver_answer(question, length, &peer, "", 0);
	}
	/* In any order. */
	for (; answered < 32; answered++)
		assert_int_equal(hear_code(0), 0);
}

static void big_answers_come_over_tcp(void **state)
{
	static uint8_t answer[20000], got[20000];
	uint8_t question[512];
	struct guest_tcp tcp;
	struct guest_tcp denied;

	start("\"allow_list\": [\"example.org\"], " RESOLVERS);
	resolver_fd = bind_at("127.0.0.53", SOCK_STREAM, 53);
	assert_int_equal(guest_connect(&guest, "192.168.127.1", 53, &tcp), 0);
	/* Two questions on one connection, the second one refused. */
	for (int i = 0; i < 2; i++) {
		size_t length = sizeof(HEAD ALLOWED) - 1, at;

		put_be16(question, (uint16_t)length);
		memcpy(question + 2, HEAD ALLOWED, length);
		guest_tcp_send(&tcp, question, 2 + length);
		host_fd = accept4(resolver_fd, NULL, NULL, SOCK_CLOEXEC);
		assert_true(host_fd >= 0);
		receive_all(host_fd, question, 2 + length);
		memcpy(answer, question, 2 + length);
		answer[4] |= 0x80;
		/* As many addresses as fit, the site's last. */
		for (at = 2 + length; at + 16 <= sizeof(answer); at += 16)
			memcpy(answer + at, A_SITE, 16);
		put_be16(answer + 2 + 6, (uint16_t)((at - 2 - length) / 16));
		put_be16(answer, (uint16_t)(at - 2));
		assert_int_equal(fd_write_all(host_fd, answer, at), 0);
		guest_tcp_receive(&tcp, got, at);
		assert_memory_equal(got + 2, "\x12\x34", 2);
		assert_memory_equal(got + 4, answer + 4, at - 4);
		host_fd = fd_close(host_fd);
	}
	put_be16(question, sizeof(HEAD EVIL) - 1);
	memcpy(question + 2, HEAD EVIL, sizeof(HEAD EVIL) - 1);
	guest_tcp_send(&tcp, question, 2 + sizeof(HEAD EVIL) - 1);
	guest_tcp_receive(&tcp, got, 2 + sizeof(HEAD EVIL) - 1);
	assert_int_equal(got[5] & 15, 5);
	guest_tcp_close(&tcp);
	listen_fd = bind_at(SITE, SOCK_STREAM, 80);
	reach(SITE, 80);
	assert_int_equal(guest_connect(&guest, OTHER, 80, &denied), -ECONNREFUSED);
}

/* Whoever else is on the host finds a port that hangs up. */
static void strangers_are_not_served(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char line[256], byte;
	FILE *file;

	start(RESOLVERS);
	file = fopen("/proc/self/net/tcp", "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		unsigned port, state_code;

		if (sscanf(line, " %*d: 0100007F:%x 00000000:0000 %x", &port, &state_code) == 2 &&
		    state_code == 0x0a)
			address.sin_port = htons((uint16_t)port);
	}
	fclose(file);
	assert_int_not_equal(address.sin_port, 0);
	host_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(host_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(recv(host_fd, &byte, 1, 0), 0);
}

static long resident_kib(void)
{
	char path[64], line[256];
	long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)guest.pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "VmRSS: %ld", &kib);
	fclose(file);
	return kib;
}

/* A guest can have so many connections and no more; the rest is refused, nothing breaks. */
static void connections_are_bounded(void **state)
{
	struct guest_tcp tcp;
	int open = 0;

	start(RESOLVERS);
	listen_fd = bind_at(SITE, SOCK_STREAM, 80);
	for (int i = 0; i < 1500; i++)
		open += guest_connect(&guest, SITE, 80, &tcp) == 0;
	/* Less where the hard limit of open files is 1024. */
	assert_in_range(open, 800, 1024);
	assert_true(resident_kib() < RESIDENT_KIB_MAX);
	ask(6000, HEAD EVIL, sizeof(HEAD EVIL) - 1);
	resolver_fd = bind_at("127.0.0.53", SOCK_DGRAM, 53);
	craft_echo(&guest.out, "192.168.127.1", 7);
	guest_send(&guest);
	assert_non_null(guest_expect(&guest, IPPROTO_ICMP, 0, &(struct packet){0}));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_a_list_the_internet_is_reachable),
		T(a_closed_port_is_a_reset),
		T(a_list_lets_through_what_it_says),
		T(an_allowed_name_opens_its_address),
		T(another_name_is_refused_and_not_asked_for),
		T(without_a_list_every_name_is_asked_for),
		T(the_next_resolver_is_asked),
		T(without_any_resolver_the_guest_hears_so),
		T(a_silent_resolver_is_given_up),
		T(more_questions_than_places_are_answered_or_failed),
		T(big_answers_come_over_tcp),
		T(strangers_are_not_served),
		T(connections_are_bounded),
	};

	signal(SIGPIPE, SIG_IGN);
	has_namespace = make_internet();
	alarm(240);
	return cmocka_run_group_tests_name("internet", tests, NULL, NULL);
}
