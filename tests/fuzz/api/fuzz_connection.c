/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole server without machines, and a client that sends any bytes: parser, limits, routes and
 * handlers. Whatever comes, each answer begins as one, and in the end the connection is gone. The
 * server may make nothing: its directories cannot exist.
 */
#include "connection.c"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "child.h"
#include "disk.h"
#include "probe.h"
#include "store.h"
#include "turn.h"

static uv_loop_t loop;
static struct settings settings = {
	.state_dir = (char *)"/proc/none",
	.socket_dir = (char *)"/proc/none",
	.backend = (char *)"fake",
	.vmm_path = (char *)"/proc/none/vmm",
	.image_path = (char *)"/proc/none/image",
};
static struct server server = {
	.loop = &loop,
	.settings = &settings,
	.machines_dir = (char *)"/proc/none/machines",
	.images_dir = (char *)"/proc/none/images",
	.cache_dir = (char *)"/proc/none/cache",
	.tmp_dir = (char *)"/proc/none/tmp",
	.request_prefix = "00000000",
};

static void start_server(void)
{
	struct err err = {0};

	if (server.store != NULL)
		return;
	uv_loop_init(&loop);
	server.read_buffer = mem_zalloc(HTTP_READ_BYTES);
	server.log_buffer = mem_zalloc(65536);
	assert(store_open(":memory:", &server.store, &err) >= 0);
	assert(children_init(&server) >= 0);
	turns_init(&server);
	disks_init(&server);
	probe_init(&server);
}

static void connect_client(int ret_fds[2])
{
	assert(fd_socketpair(ret_fds) >= 0);
	assert(fd_set_nonblock(ret_fds[1], true) >= 0);
	/* What connection_accept() does, with a socket that is connected already. */
	struct connection *connection = connection_new(&server, CONNECTION_UNIX);

	assert(connection != NULL);
	assert(uv_pipe_open(&connection->pipe, ret_fds[0]) >= 0);
	begin(connection);
}

static void take_answers(int fd, bool *first)
{
	char data[65536];
	ssize_t length;

	while ((length = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0) {
		assert(!*first || length < 9 || memcmp(data, "HTTP/1.1 ", 9) == 0);
		*first = false;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool first = true;
	int fds[2];
	size_t at = 0;

	if (size < 1)
		return 0;
	start_server();
	connect_client(fds);
	for (at = 1; at < size;) {
		size_t piece = MIN(size - at, (size_t)data[0] * 4 + 1);
		ssize_t sent = send(fds[1], data + at, piece, MSG_DONTWAIT | MSG_NOSIGNAL);

		uv_run(&loop, UV_RUN_NOWAIT);
		take_answers(fds[1], &first);
		if (sent <= 0)
			break; /* not wanted any more */
		at += (size_t)sent;
	}
	fd_close(fds[1]);
	for (int i = 0; i < 1000 && server.connections != NULL; i++) {
		if (i == 10)
			connection_close_all(
				&server); /* a handler that works although nobody waits */
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert(server.connections == NULL && server.connection_count == 0);
	return 0;
}
