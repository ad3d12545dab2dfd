/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <uv.h>

#include "address.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "connection.h"
#include "server.h"

struct listener {
	struct server *server;
	struct listener *next;
	union {
		uv_stream_t stream;
		uv_handle_t handle;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	};
	enum connection_origin origin;
	char *path; /* of a unix socket; taken away at the end */
};

static void on_closed(uv_handle_t *handle)
{
	struct listener *listener = handle->data;

	free(listener->path);
	free(listener);
}

void listeners_close(struct server *server)
{
	while (server->listeners != NULL) {
		struct listener *listener = server->listeners;

		server->listeners = listener->next;
		if (listener->path != NULL)
			unlink(listener->path);
		uv_close(&listener->handle, on_closed);
	}
}

int listeners_check(char *const *addresses, bool *ret_tcp, bool *ret_public, struct err *err)
{
	*ret_tcp = false;
	*ret_public = false;
	for (; *addresses != NULL; addresses++) {
		struct address address;
		int r = address_parse(*addresses, &address, err);

		if (r < 0)
			return r;
		*ret_tcp = *ret_tcp || address.kind != ADDRESS_UNIX;
		*ret_public = *ret_public || !address_is_local(&address);
	}
	return 0;
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct listener *listener = stream->data;

	if (status < 0) {
		log_warn("cannot accept a client: %s", uv_strerror(status));
		return;
	}
	connection_accept(listener->server, stream, listener->origin);
}

/* From here on listeners_close() owns it. */
static struct listener *add_listener(struct server *server, enum connection_origin origin)
{
	struct listener *listener = mem_new(struct listener);

	listener->server = server;
	listener->origin = origin;
	listener->next = server->listeners;
	server->listeners = listener;
	if (origin == CONNECTION_UNIX)
		uv_pipe_init(server->loop, &listener->pipe, 0);
	else
		uv_tcp_init(server->loop, &listener->tcp);
	listener->stream.data = listener;
	return listener;
}

static int open_unix(struct server *server, const char *path, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct listener *listener;
	int r = fd_unix_listen(path, 0600, &fd);

	if (r == -EADDRINUSE)
		return err_set(err, EADDRINUSE, "another server answers on '%s'", path);
	if (r < 0)
		return err_set_errno(err, -r, "cannot listen on '%s'", path);
	listener = add_listener(server, CONNECTION_UNIX);
	listener->path = mem_strdup(path);
	r = uv_pipe_open(&listener->pipe, fd);
	if (r < 0)
		return err_set_errno(err, -r, "cannot listen on '%s'", path);
	(void)take_fd(fd);
	r = uv_listen(&listener->stream, HTTP_BACKLOG, on_connection);
	if (r < 0)
		return err_set_errno(err, -r, "cannot listen on '%s'", path);
	log_info("listening on unix://%s", path);
	return 0;
}

static uint16_t bound_port(const uv_tcp_t *tcp)
{
	struct sockaddr_storage bound = {0};
	int length = sizeof(bound);

	if (uv_tcp_getsockname(tcp, (struct sockaddr *)&bound, &length) < 0)
		return 0;
	return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
						 : ((struct sockaddr_in *)&bound)->sin_port);
}

static int open_tcp(struct server *server, const struct sockaddr_storage *socket,
		    uint16_t *ret_port)
{
	struct listener *listener = add_listener(server, CONNECTION_TCP);
	bool inet6 = socket->ss_family == AF_INET6;
	char text[INET6_ADDRSTRLEN];
	int r;

	r = uv_tcp_bind(&listener->tcp, (const struct sockaddr *)socket,
			inet6 ? UV_TCP_IPV6ONLY : 0);
	if (r >= 0)
		r = uv_listen(&listener->stream, HTTP_BACKLOG, on_connection);
	if (r < 0)
		return r;
	uv_ip_name((const struct sockaddr *)socket, text, sizeof(text));
	*ret_port = bound_port(&listener->tcp);
	log_info("listening on http://%s%s%s:%u", inet6 ? "[" : "", text, inet6 ? "]" : "",
		 *ret_port);
	return 0;
}

static void set_port(struct sockaddr_storage *socket, uint16_t port)
{
	if (socket->ss_family == AF_INET6)
		((struct sockaddr_in6 *)socket)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)socket)->sin_port = htons(port);
}

static int open_address(struct server *server, const char *text, struct err *err)
{
	struct sockaddr_storage sockets[2];
	struct address address;
	uint16_t port = 0;
	size_t count;
	int r = address_parse(text, &address, err);

	if (r < 0)
		return r;
	if (address.kind == ADDRESS_UNIX)
		return open_unix(server, address.path, err);
	count = address_sockets(&address, sockets);
	for (size_t i = 0; i < count; i++) {
		/* Both loopback addresses get the port that the kernel chose for the first. */
		if (i > 0)
			set_port(&sockets[i], port);
		r = open_tcp(server, &sockets[i], &port);
		if (i > 0 && (r == UV_EADDRNOTAVAIL || r == UV_EAFNOSUPPORT))
			continue; /* a host without IPv6 */
		if (r < 0)
			return err_set(err, -r, "cannot listen on '%s': %s", text, uv_strerror(r));
	}
	return 0;
}

int listeners_open(struct server *server, char *const *addresses, struct err *err)
{
	for (; *addresses != NULL; addresses++) {
		int r = open_address(server, *addresses, err);

		if (r < 0) {
			listeners_close(server);
			return r;
		}
	}
	return 0;
}
