/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver at port 53 of the gateway: it asks the host's resolvers, and only for names that
 * policy allows; addresses in their answers are pinned (policy.h). Other names: REFUSED, at once.
 *
 * A question is asked anew, not handed through, so nothing rides along with an allowed name. Each
 * has a socket and an id of its own. A resolver that does not answer in time, or cannot be reached,
 * is followed by the next; after DNS_TRIES the guest hears SERVFAIL.
 *
 * UDP: the guest's datagrams come as payloads and go back as payloads; the gate makes packets of
 * them. TCP: the guest's connections are led to a listening socket on the host's loopback
 * (dns_stream.h); connections that are not the guest's are closed.
 */
#ifndef NET_DNS_H
#define NET_DNS_H

#include "dns_message.h"
#include "policy.h"
#include "pollset.h"
#include "resolv.h"

#define DNS_QUERIES_MAX    32
#define DNS_TRIES          3
#define DNS_TRY_TIMEOUT_MS 1500

/* An answer by UDP to the guest's port. */
typedef void (*dns_output_fn)(bool is_ip6, uint16_t guest_port, const uint8_t *message,
			      size_t length, void *opaque);

/* A question as it is asked. */
struct dns_asking {
	struct dns_question question;
	size_t server;
	unsigned tries;
	uint16_t id; /* towards the resolver */
};

/* A question by UDP that is under way. */
struct dns_query {
	int fd; /* connected; -1: this place is free */
	int index;
	bool is_ip6;
	uint16_t guest_port;
	uint64_t number; /* of the question, counted from the start */
	int64_t deadline_ms;
	struct dns_asking asking;
};

struct dns {
	struct policy *policy;
	struct resolvers resolvers;
	size_t first; /* resolver that answered last: asked first */
	dns_output_fn output;
	void *opaque;
	uint64_t refused; /* names */
	uint64_t asked;
	struct dns_query queries[DNS_QUERIES_MAX];
};

/* `resolvers` without any: every allowed name is SERVFAIL. `policy` must outlive this. */
void dns_init(struct dns *dns, struct policy *policy, const struct resolvers *resolvers,
	      dns_output_fn output, void *opaque);
void dns_done(struct dns *dns);

/* A question by UDP. */
void dns_input(struct dns *dns, bool is_ip6, uint16_t guest_port, const uint8_t *message,
	       size_t length, int64_t now_ms);

void dns_fill(struct dns *dns, struct pollset *set);
void dns_poll(struct dns *dns, const struct pollset *set, int64_t now_ms);

/* What UDP and TCP share. */

/*
 * Reads a question and judges it. 0: ask a resolver; a positive enum dns_rcode: answer with it;
 * -EBADMSG: no answer.
 */
int dns_judge(struct dns *dns, const uint8_t *message, size_t length,
	      struct dns_question *ret_question);

/* The first try of `asking`, whose question is read, and the one after a try that failed. */
void dns_begin(const struct dns *dns, struct dns_asking *asking);
void dns_turn_to_next(const struct dns *dns, struct dns_asking *asking);

/* A non-blocking socket that is connected, or connecting, to that resolver; or a negative errno. */
int dns_connect(const struct dns *dns, const struct dns_asking *asking, int type);

/* What to ask, under a new id. Returns its length. */
size_t dns_compose(struct dns_asking *asking, uint8_t ret_message[DNS_QUERY_BYTES_MAX]);

/* An answer from the resolver: checks it, pins its addresses, gives it the guest's id. -EBADMSG. */
int dns_accept(struct dns *dns, const struct dns_asking *asking, uint8_t *message, size_t length,
	       int64_t now_ms);

#endif
