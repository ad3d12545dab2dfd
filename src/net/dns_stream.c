/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/fd.h"

#define LISTEN_BACKLOG 8

static void close_stream(struct dns_stream *stream)
{
	if (stream->state == DNS_STREAM_FREE)
		return;
	fd_close(stream->fd);
	fd_close(stream->server_fd);
	stream->fd = stream->server_fd = -1;
	stream->state = DNS_STREAM_FREE;
}

int dns_streams_open(struct dns_streams *streams, struct dns *dns)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0), r;

	streams->dns = dns;
	streams->fd = -1;
	if (fd < 0)
		return -errno;
	r = fd_set_cloexec(fd, true);
	if (r == 0)
		r = fd_set_nonblock(fd, true);
	if (r == 0 && (bind(fd, (const struct sockaddr *)&address, length) < 0 ||
		       listen(fd, LISTEN_BACKLOG) < 0 ||
		       getsockname(fd, (struct sockaddr *)&address, &length) < 0))
		r = -errno;
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	streams->fd = fd;
	streams->port = ntohs(address.sin_port);
	return 0;
}

void dns_streams_close(struct dns_streams *streams)
{
	for (size_t i = 0; i < DNS_STREAMS_MAX; i++)
		close_stream(&streams->items[i]);
	streams->fd = fd_close(streams->fd);
}

static void start_question(struct dns_stream *stream, int64_t now_ms)
{
	stream->server_fd = fd_close(stream->server_fd);
	stream->state = DNS_STREAM_QUESTION;
	stream->at = 0;
	stream->end = 2;
	stream->deadline_ms = now_ms + DNS_STREAM_IDLE_MS;
}

static void start_answer(struct dns_stream *stream, size_t length, int64_t now_ms)
{
	stream->server_fd = fd_close(stream->server_fd);
	put_be16(stream->answer_bytes, (uint16_t)length);
	stream->state = DNS_STREAM_ANSWER;
	stream->at = 0;
	stream->end = 2 + length;
	stream->deadline_ms = now_ms + DNS_STREAM_IDLE_MS;
}

static void answer_with(struct dns_stream *stream, enum dns_rcode rcode, int64_t now_ms)
{
	size_t length =
		dns_refusal_write(&stream->asking.question, rcode, stream->answer_bytes + 2);

	start_answer(stream, length, now_ms);
}

/* Turns to the resolver of this try, or to the next one that can be turned to. */
static void ask(struct dns_streams *streams, struct dns_stream *stream, int64_t now_ms)
{
	for (; stream->asking.tries < DNS_TRIES; dns_turn_to_next(streams->dns, &stream->asking)) {
		size_t length;

		stream->server_fd = dns_connect(streams->dns, &stream->asking, SOCK_STREAM);
		if (stream->server_fd < 0)
			continue;
		length = dns_compose(&stream->asking, stream->question_bytes + 2);
		put_be16(stream->question_bytes, (uint16_t)length);
		stream->state = DNS_STREAM_ASK;
		stream->at = 0;
		stream->end = 2 + length;
		stream->deadline_ms = now_ms + DNS_STREAM_TRY_TIMEOUT_MS;
		return;
	}
	answer_with(stream, DNS_RCODE_SERVER_FAILURE, now_ms);
}

static void ask_next(struct dns_streams *streams, struct dns_stream *stream, int64_t now_ms)
{
	stream->server_fd = fd_close(stream->server_fd);
	dns_turn_to_next(streams->dns, &stream->asking);
	ask(streams, stream, now_ms);
}

/* Moves bytes until `end`. 1: all are there; 0: later; negative errno. */
static int move(struct dns_stream *stream, int fd, uint8_t *bytes, bool in)
{
	ssize_t n = in ? recv(fd, bytes + stream->at, stream->end - stream->at, MSG_DONTWAIT)
		       : send(fd, bytes + stream->at, stream->end - stream->at, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ||
				       errno == ENOTCONN
			       ? 0
			       : -errno;
	if (n == 0)
		return -EPIPE;
	stream->at += (size_t)n;
	return stream->at == stream->end;
}

/* Reads length and message, a part of them per call. 1, 0 or a negative errno as move(). */
static int read_message(struct dns_stream *stream, int fd, uint8_t *bytes, size_t bytes_max)
{
	int r = move(stream, fd, bytes, true);

	if (r != 1 || stream->end != 2)
		return r;
	stream->end = 2 + (size_t)get_be16(bytes);
	if (stream->end == 2 || stream->end > bytes_max)
		return -EMSGSIZE;
	return 0;
}

static void do_question(struct dns_streams *streams, struct dns_stream *stream, int64_t now_ms)
{
	int r = read_message(stream, stream->fd, stream->question_bytes,
			     sizeof(stream->question_bytes));

	if (r == 1)
		r = dns_judge(streams->dns, stream->question_bytes + 2, stream->end - 2,
			      &stream->asking.question);
	else if (r == 0)
		return;
	if (r < 0) {
		close_stream(stream);
	} else if (r > 0) {
		answer_with(stream, (enum dns_rcode)r, now_ms);
	} else {
		dns_begin(streams->dns, &stream->asking);
		ask(streams, stream, now_ms);
	}
}

static void do_ask(struct dns_streams *streams, struct dns_stream *stream, int64_t now_ms)
{
	int r = move(stream, stream->server_fd, stream->question_bytes, false);

	if (r < 0) {
		ask_next(streams, stream, now_ms);
	} else if (r == 1) {
		stream->state = DNS_STREAM_WAIT;
		stream->at = 0;
		stream->end = 2;
	}
}

static void do_wait(struct dns_streams *streams, struct dns_stream *stream, int64_t now_ms)
{
	int r = read_message(stream, stream->server_fd, stream->answer_bytes,
			     sizeof(stream->answer_bytes));
	size_t length = stream->end - 2;

	if (r == 1)
		r = dns_accept(streams->dns, &stream->asking, stream->answer_bytes + 2, length,
			       now_ms);
	else if (r == 0)
		return;
	if (r < 0)
		ask_next(streams, stream, now_ms);
	else
		start_answer(stream, length, now_ms);
}

static void do_answer(struct dns_stream *stream, int64_t now_ms)
{
	int r = move(stream, stream->fd, stream->answer_bytes, false);

	if (r < 0)
		close_stream(stream);
	else if (r == 1)
		start_question(stream, now_ms);
}

static void do_stream(struct dns_streams *streams, struct dns_stream *stream, int64_t now_ms)
{
	switch (stream->state) {
	case DNS_STREAM_FREE:
		break;
	case DNS_STREAM_QUESTION:
		do_question(streams, stream, now_ms);
		break;
	case DNS_STREAM_ASK:
		do_ask(streams, stream, now_ms);
		break;
	case DNS_STREAM_WAIT:
		do_wait(streams, stream, now_ms);
		break;
	case DNS_STREAM_ANSWER:
		do_answer(stream, now_ms);
		break;
	}
}

static void expire(struct dns_streams *streams, struct dns_stream *stream, int64_t now_ms)
{
	if (stream->state == DNS_STREAM_ASK || stream->state == DNS_STREAM_WAIT)
		ask_next(streams, stream, now_ms);
	else
		close_stream(stream);
}

/* Is the other end a socket of this process, one of libslirp's? */
static bool is_own(const struct stack *stack, const struct pollset *set, int fd)
{
	struct sockaddr_in peer = {0};
	socklen_t length = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &length) == 0 &&
	       peer.sin_family == AF_INET && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK) &&
	       stack_has_port(stack, set, ntohs(peer.sin_port));
}

static void accept_stream(struct dns_streams *streams, const struct stack *stack,
			  const struct pollset *set, int64_t now_ms)
{
	struct dns_stream *stream = streams->items;
	int fd = -1;

	if (fd_accept(streams->fd, &fd) < 0)
		return;
	while (stream < streams->items + DNS_STREAMS_MAX && stream->state != DNS_STREAM_FREE)
		stream++;
	if (stream == streams->items + DNS_STREAMS_MAX || !is_own(stack, set, fd)) {
		fd_close(fd);
		return;
	}
	stream->fd = fd;
	stream->server_fd = -1;
	start_question(stream, now_ms);
}

void dns_streams_fill(struct dns_streams *streams, struct pollset *set, bool paused)
{
	streams->index = paused ? -1 : pollset_add(set, streams->fd, POLLIN);
	for (size_t i = 0; i < DNS_STREAMS_MAX; i++) {
		struct dns_stream *stream = &streams->items[i];
		bool out = stream->state == DNS_STREAM_ASK || stream->state == DNS_STREAM_ANSWER;
		bool at_server =
			stream->state == DNS_STREAM_ASK || stream->state == DNS_STREAM_WAIT;

		if (stream->state == DNS_STREAM_FREE)
			continue;
		stream->index = pollset_add(set, at_server ? stream->server_fd : stream->fd,
					    out ? POLLOUT : POLLIN);
		pollset_wake_at(set, stream->deadline_ms);
	}
}

void dns_streams_poll(struct dns_streams *streams, const struct stack *stack,
		      const struct pollset *set, int64_t now_ms)
{
	for (size_t i = 0; i < DNS_STREAMS_MAX; i++) {
		struct dns_stream *stream = &streams->items[i];

		if (stream->state == DNS_STREAM_FREE)
			continue;
		if (pollset_events(set, stream->index) != 0)
			do_stream(streams, stream, now_ms);
		else if (now_ms >= stream->deadline_ms)
			expire(streams, stream, now_ms);
	}
	/* Last, because a new one has no index yet. */
	if (pollset_events(set, streams->index) != 0)
		accept_stream(streams, stack, set, now_ms);
}
