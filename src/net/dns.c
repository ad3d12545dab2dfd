/* SPDX-License-Identifier: Apache-2.0 */
#include "dns.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/rand.h"

/* An answer that is longer than what was asked for is cut off by recv(2), and so malformed. */
#define ANSWER_BYTES_MAX 4096

void dns_init(struct dns *dns, struct policy *policy, const struct resolvers *resolvers,
	      dns_output_fn output, void *opaque)
{
	dns->policy = policy;
	dns->resolvers = *resolvers;
	dns->first = 0;
	dns->output = output;
	dns->opaque = opaque;
	dns->refused = dns->asked = 0;
	for (size_t i = 0; i < DNS_QUERIES_MAX; i++)
		dns->queries[i].fd = -1;
}

static void close_query(struct dns_query *query)
{
	query->fd = fd_close(query->fd);
}

void dns_done(struct dns *dns)
{
	for (size_t i = 0; i < DNS_QUERIES_MAX; i++)
		close_query(&dns->queries[i]);
}

int dns_judge(struct dns *dns, const uint8_t *message, size_t length,
	      struct dns_question *ret_question)
{
	int r = dns_question_read(message, length, ret_question);

	if (r != 0)
		return r;
	if (!policy_allows_name(dns->policy, ret_question->name)) {
		dns->refused++;
		return DNS_RCODE_REFUSED;
	}
	return dns->resolvers.count > 0 ? DNS_RCODE_OK : DNS_RCODE_SERVER_FAILURE;
}

void dns_begin(const struct dns *dns, struct dns_asking *asking)
{
	asking->server = dns->first;
	asking->tries = 0;
}

void dns_turn_to_next(const struct dns *dns, struct dns_asking *asking)
{
	asking->server = (asking->server + 1) % dns->resolvers.count;
	asking->tries++;
}

size_t dns_compose(struct dns_asking *asking, uint8_t ret_message[DNS_QUERY_BYTES_MAX])
{
	rand_bytes(&asking->id, sizeof(asking->id));
	return dns_question_write(&asking->question, asking->id, ret_message);
}

int dns_connect(const struct dns *dns, const struct dns_asking *asking, int type)
{
	const struct sockaddr *address =
		(const struct sockaddr *)&dns->resolvers.items[asking->server];
	socklen_t length = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
							  : sizeof(struct sockaddr_in);
	int fd = socket(address->sa_family, type, 0), r;

	if (fd < 0)
		return -errno;
	r = fd_set_cloexec(fd, true);
	if (r == 0)
		r = fd_set_nonblock(fd, true);
	if (r == 0 && connect(fd, address, length) < 0 && errno != EINPROGRESS)
		r = -errno;
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	return fd;
}

struct pinning {
	struct dns *dns;
	const struct dns_question *question;
	int64_t now_ms;
};

static void pin(const struct in6_addr *address, uint32_t ttl_s, void *opaque)
{
	const struct pinning *pinning = opaque;

	policy_pin_address(pinning->dns->policy, pinning->question->name, address, ttl_s,
			   pinning->now_ms);
}

int dns_accept(struct dns *dns, const struct dns_asking *asking, uint8_t *message, size_t length,
	       int64_t now_ms)
{
	struct pinning pinning = {dns, &asking->question, now_ms};
	int r;

	if (!dns_answer_matches(message, length, &asking->question, asking->id))
		return -EBADMSG;
	r = dns_answer_walk(message, length, POLICY_TTL_S_MAX, pin, &pinning);
	if (r < 0)
		return r;
	put_be16(message, asking->question.id);
	dns->first = asking->server;
	return 0;
}

static void answer_with(struct dns *dns, bool is_ip6, uint16_t guest_port,
			const struct dns_question *question, enum dns_rcode rcode)
{
	uint8_t message[DNS_QUERY_BYTES_MAX];
	size_t length = dns_refusal_write(question, rcode, message);

	dns->output(is_ip6, guest_port, message, length, dns->opaque);
}

static void fail_query(struct dns *dns, struct dns_query *query)
{
	close_query(query);
	answer_with(dns, query->is_ip6, query->guest_port, &query->asking.question,
		    DNS_RCODE_SERVER_FAILURE);
}

/* Asks the resolver of this try, or the next one that can be asked. */
static void ask(struct dns *dns, struct dns_query *query, int64_t now_ms)
{
	uint8_t message[DNS_QUERY_BYTES_MAX];

	query->index = -1;
	for (; query->asking.tries < DNS_TRIES; dns_turn_to_next(dns, &query->asking)) {
		size_t length = dns_compose(&query->asking, message);

		query->fd = dns_connect(dns, &query->asking, SOCK_DGRAM);
		if (query->fd >= 0 &&
		    send(query->fd, message, length, MSG_DONTWAIT) == (ssize_t)length) {
			query->deadline_ms = now_ms + DNS_TRY_TIMEOUT_MS;
			return;
		}
		close_query(query);
	}
	fail_query(dns, query);
}

static void ask_next(struct dns *dns, struct dns_query *query, int64_t now_ms)
{
	close_query(query);
	dns_turn_to_next(dns, &query->asking);
	ask(dns, query, now_ms);
}

/* A place for a question: a free one, else that of the oldest. NULL: it is under way already. */
static struct dns_query *find_place(struct dns *dns, bool is_ip6, uint16_t guest_port, uint16_t id)
{
	struct dns_query *best = NULL;

	for (size_t i = 0; i < DNS_QUERIES_MAX; i++) {
		struct dns_query *query = &dns->queries[i];

		if (query->fd >= 0 && query->is_ip6 == is_ip6 && query->guest_port == guest_port &&
		    query->asking.question.id == id)
			return NULL;
		if (best == NULL || (query->fd < 0 && best->fd >= 0) ||
		    (query->fd >= 0 && best->fd >= 0 && query->number < best->number))
			best = query;
	}
	return best;
}

void dns_input(struct dns *dns, bool is_ip6, uint16_t guest_port, const uint8_t *message,
	       size_t length, int64_t now_ms)
{
	struct dns_question question;
	struct dns_query *query;
	int r = dns_judge(dns, message, length, &question);

	if (r < 0)
		return;
	if (r > 0) {
		answer_with(dns, is_ip6, guest_port, &question, (enum dns_rcode)r);
		return;
	}
	query = find_place(dns, is_ip6, guest_port, question.id);
	if (query == NULL)
		return;
	if (query->fd >= 0)
		fail_query(dns, query);
	query->is_ip6 = is_ip6;
	query->guest_port = guest_port;
	query->asking.question = question;
	dns_begin(dns, &query->asking);
	query->number = dns->asked++;
	ask(dns, query, now_ms);
}

void dns_fill(struct dns *dns, struct pollset *set)
{
	for (size_t i = 0; i < DNS_QUERIES_MAX; i++) {
		struct dns_query *query = &dns->queries[i];

		if (query->fd < 0)
			continue;
		query->index = pollset_add(set, query->fd, POLLIN);
		pollset_wake_at(set, query->deadline_ms);
	}
}

/* Reads one datagram; the next one makes poll(2) return again. */
static void read_answer(struct dns *dns, struct dns_query *query, int64_t now_ms)
{
	uint8_t message[ANSWER_BYTES_MAX];
	ssize_t n = recv(query->fd, message, sizeof(message), MSG_DONTWAIT);

	if (n < 0) {
		/* Nobody listens there, or no way leads there. */
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			ask_next(dns, query, now_ms);
		return;
	}
	/* Something else than our answer: a forged one is no reason to give up waiting. */
	if (dns_accept(dns, &query->asking, message, (size_t)n, now_ms) < 0)
		return;
	close_query(query);
	dns->output(query->is_ip6, query->guest_port, message, (size_t)n, dns->opaque);
}

void dns_poll(struct dns *dns, const struct pollset *set, int64_t now_ms)
{
	for (size_t i = 0; i < DNS_QUERIES_MAX; i++) {
		struct dns_query *query = &dns->queries[i];

		if (query->fd < 0)
			continue;
		if (pollset_events(set, query->index) != 0)
			read_answer(dns, query, now_ms);
		else if (now_ms >= query->deadline_ms)
			ask_next(dns, query, now_ms);
	}
}
