/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS over TCP (RFC 7766), for answers that did not fit into a datagram.
 *
 * The guest's connections to port 53 of the gateway are led (relay.c) to a socket that listens on
 * the host's loopback. Everybody on the host can connect there, so only connections whose other end
 * is a socket of this process are served. Each connection is asked one question at a time; its
 * answer is read from the resolver into the place from which the guest gets it, the same 2-byte
 * length in front. A connection that makes no progress in time is closed.
 */
#ifndef NET_DNS_STREAM_H
#define NET_DNS_STREAM_H

#include "dns.h"
#include "stack.h"

#define DNS_STREAMS_MAX           8
#define DNS_STREAM_ANSWER_BYTES   (32 * 1024)
#define DNS_STREAM_IDLE_MS        (20 * 1000)
#define DNS_STREAM_TRY_TIMEOUT_MS 3000

enum dns_stream_state {
	DNS_STREAM_FREE,
	DNS_STREAM_QUESTION, /* reads the guest's question */
	DNS_STREAM_ASK,      /* connects to a resolver and writes the question */
	DNS_STREAM_WAIT,     /* reads the resolver's answer */
	DNS_STREAM_ANSWER,   /* writes it to the guest */
};

struct dns_stream {
	enum dns_stream_state state;
	int fd, server_fd;
	int index; /* of the one descriptor that the state waits for */
	int64_t deadline_ms;
	struct dns_asking asking;
	size_t at, end; /* done and wanted bytes of what the state reads or writes */
	uint8_t question_bytes[2 + DNS_QUERY_BYTES_MAX];
	uint8_t answer_bytes[2 + DNS_STREAM_ANSWER_BYTES];
};

struct dns_streams {
	struct dns *dns;
	int fd; /* listens */
	int index;
	uint16_t port;
	struct dns_stream items[DNS_STREAMS_MAX];
};

/* Opens the listening socket. Zeroed before. A negative errno. */
int dns_streams_open(struct dns_streams *streams, struct dns *dns) _must_check_;
void dns_streams_close(struct dns_streams *streams);

/* `paused`: as stack_fill_paused(): nobody new, because libslirp's sockets are not in the set. */
void dns_streams_fill(struct dns_streams *streams, struct pollset *set, bool paused);
void dns_streams_poll(struct dns_streams *streams, const struct stack *stack,
		      const struct pollset *set, int64_t now_ms);

#endif
