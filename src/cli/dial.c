/* SPDX-License-Identifier: Apache-2.0 */
#include "dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"

static int fail(const struct endpoint *endpoint, int errnum, struct err *err)
{
	switch (errnum) {
	case EACCES:
	case EPERM:
		return err_set(err, EACCES,
			       "%s belongs to another user: only that user (or root) may use it",
			       endpoint->text);
	case EAGAIN:
	case ETIMEDOUT:
		return err_set(err, ETIME, "%s did not answer in time", endpoint->text);
	case EMFILE:
	case ENFILE:
		return err_set_errno(err, errnum, "%s", endpoint->text);
	default:
		return err_set(
			err, ECONNREFUSED,
			"no krun-api answers at %s: start it with 'krun-api', or say where it is "
			"with --api or $KRUN_API",
			endpoint->text);
	}
}

static int make_socket(int family, int *ret_fd)
{
	_cleanup_fd_ int fd = socket(family, SOCK_STREAM, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_set_cloexec(fd, true);
	if (r >= 0)
		r = dial_prepare(fd);
	if (r < 0)
		return r;
	*ret_fd = take_fd(fd);
	return 0;
}

/*
 * A unix socket is connected at once or, where the server accepts nobody, not at all: such a connect
 * cannot be polled for, so it blocks for as long as its socket may.
 */
static int connect_unix(struct dial *dial)
{
	struct timeval limit = {.tv_sec = DIAL_TIMEOUT_MS / 1000}, none = {0};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = -1;
	int r;

	/* endpoint_parse() has seen to the length. */
	memcpy(address.sun_path, dial->endpoint->unix_path, strlen(dial->endpoint->unix_path) + 1);
	r = make_socket(AF_UNIX, &fd);
	if (r < 0)
		return r;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)) < 0)
		return -errno;
	r = fd_set_nonblock(fd, true);
	if (r >= 0)
		dial->fd = take_fd(fd);
	return r;
}

static void set_tcp_options(int fd)
{
	int on = 1;

	/* Small messages both ways; a peer that vanished is noticed. Without these it still works. */
	(void)!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)!setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static int connect_tcp(struct dial *dial, const struct addrinfo *address)
{
	_cleanup_fd_ int fd = -1;
	int r;

	r = make_socket(address->ai_family, &fd);
	if (r >= 0)
		r = fd_set_nonblock(fd, true);
	if (r < 0)
		return r;
	set_tcp_options(fd);
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS &&
	    errno != EINTR)
		return -errno;
	dial->fd = take_fd(fd);
	return 0;
}

/* Begins with the next address that can be begun with. */
static int try_next(struct dial *dial, struct err *err)
{
	dial->fd = fd_close(dial->fd);
	while (dial->next != NULL) {
		const struct addrinfo *address = dial->next;
		int64_t now_ms = clock_monotonic_ms(), left = 0;
		int r;

		for (struct addrinfo *other = dial->next; other != NULL; other = other->ai_next)
			left++;
		dial->attempt_until_ms = now_ms + MAX(dial->until_ms - now_ms, (int64_t)0) / left;
		dial->next = address->ai_next;
		r = connect_tcp(dial, address);
		if (r >= 0)
			return 0;
		dial->errnum = -r;
	}
	return fail(dial->endpoint, dial->errnum, err);
}

static int resolve(struct dial *dial, struct err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	int r;

	r = getaddrinfo(dial->endpoint->host, dial->endpoint->port, &hints, &dial->addresses);
	if (r == EAI_NONAME)
		return err_set(err, ECONNREFUSED, "no host of that name: %s", dial->endpoint->text);
	if (r != 0)
		return err_set(err, ECONNREFUSED, "looking up %s: %s", dial->endpoint->text,
			       gai_strerror(r));
	dial->next = dial->addresses;
	return 0;
}

int dial_begin(struct dial *dial, const struct endpoint *endpoint, struct err *err)
{
	int r;

	*dial = (struct dial){.endpoint = endpoint, .fd = -1};
	dial->until_ms = clock_monotonic_ms() + DIAL_TIMEOUT_MS;
	if (endpoint->unix_path != NULL) {
		r = connect_unix(dial);
		return r < 0 ? fail(endpoint, -r, err) : 0;
	}
	r = resolve(dial, err);
	if (r >= 0)
		r = try_next(dial, err);
	if (r < 0)
		dial_done(dial);
	return r;
}

int dial_step(struct dial *dial, int *ret_fd, struct err *err)
{
	struct pollfd poll_fd = {.fd = dial->fd, .events = POLLOUT};
	socklen_t length = sizeof(dial->errnum);

	if (dial->endpoint->unix_path != NULL) {
		*ret_fd = take_fd(dial->fd);
		return 1;
	}
	if (poll(&poll_fd, 1, 0) <= 0) {
		if (clock_monotonic_ms() < dial->attempt_until_ms)
			return 0;
		dial->errnum = ETIMEDOUT;
		return try_next(dial, err);
	}
	if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &dial->errnum, &length) < 0)
		dial->errnum = errno;
	if (dial->errnum != 0)
		return try_next(dial, err);
	*ret_fd = take_fd(dial->fd);
	return 1;
}

void dial_done(struct dial *dial)
{
	if (dial->addresses != NULL)
		freeaddrinfo(dial->addresses);
	fd_close(dial->fd);
	*dial = (struct dial){.fd = -1};
}
