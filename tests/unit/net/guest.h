/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest made of frames: starts krun-net (its path is in KRUN_NET) as krun-vmm does, and speaks
 * Ethernet to it over the socket pair, with as little TCP as a test needs. Every wait has a
 * deadline; a failed expectation ends the test by cmocka's assertions.
 */
#ifndef TEST_GUEST_H
#define TEST_GUEST_H

#include <sys/types.h>

#include "craft.h"
#include "frames.h"
#include "wire/message.h"

#define GUEST_TIMEOUT_MS 20000

struct guest {
	pid_t pid;
	int frames_fd, control_fd;
	uint16_t next_port;
	struct craft out;
	struct frames_reader reader;
	uint8_t wire[2 * WIRE_FRAME_BYTES_MAX];
	size_t wire_length, wire_used;
};

/* A TCP connection as the guest sees it. */
struct guest_tcp {
	struct guest *guest;
	char remote[INET6_ADDRSTRLEN];
	uint16_t port, remote_port;
	uint32_t sequence, ack;
	size_t kept; /* received, not asked for yet */
	uint8_t data[65536];
};

/* `network` and `ports` are JSON: {"mode": "user", ...} and [...]. */
void guest_start(struct guest *guest, const char *network, const char *ports);

/* Closes both sockets and waits for the end. Returns its wait status; -1: none was running. */
int guest_stop(struct guest *guest);
int guest_wait(struct guest *guest);

/* The next message on the control socket. */
struct wire_frame guest_message(struct guest *guest);

/* HELLO, then NET_READY, whose ports are returned. */
struct wire_net_ready guest_ready(struct guest *guest);

/* HELLO, then FAIL; the sentence lives until the next message. */
const char *guest_failure(struct guest *guest);

/* Asks for them and waits for the answer. */
struct wire_net_stats guest_stats(struct guest *guest);

void guest_send(struct guest *guest);

/* The next frame, or NULL when none comes within the time. */
uint8_t *guest_next(struct guest *guest, int timeout_ms, size_t *ret_length);

/*
 * The next frame of that protocol to that port of the guest, `ret_packet` as from
 * gate_check_to_guest(); others are passed over, checksums are checked.
 */
uint8_t *guest_expect(struct guest *guest, uint8_t protocol, uint16_t port,
		      struct packet *ret_packet);

/* 0, or -ECONNREFUSED after a RST. */
int guest_connect(struct guest *guest, const char *target, uint16_t port,
		  struct guest_tcp *ret_tcp);
/* Waits for a connection to that port. */
void guest_accept(struct guest *guest, uint16_t port, struct guest_tcp *ret_tcp);
void guest_tcp_send(struct guest_tcp *tcp, const void *data, size_t length);
/* Reads exactly that much. */
void guest_tcp_receive(struct guest_tcp *tcp, void *data, size_t length);
/* FIN, and the other side's. */
void guest_tcp_close(struct guest_tcp *tcp);

#endif
