/* SPDX-License-Identifier: Apache-2.0 */
/* What a client that is slow, idle or deaf gets. Deadlines are brought nearer, not waited for. */
#include "connection.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

static uv_loop_t loop;
static struct settings settings;
static struct server server = {.loop = &loop, .settings = &settings, .request_prefix = "0"};
static int client;

static int set_up(void **state)
{
	struct connection *connection;
	int fds[2];

	uv_loop_init(&loop);
	server.read_buffer = mem_zalloc(HTTP_READ_BYTES);
	if (fd_socketpair(fds) < 0)
		return -1;
	client = fds[1];
	connection = connection_new(&server, CONNECTION_UNIX);
	if (connection == NULL || uv_pipe_open(&connection->pipe, fds[0]) < 0)
		return -1;
	begin(connection);
	return 0;
}

static int tear_down(void **state)
{
	connection_close_all(&server);
	uv_run(&loop, UV_RUN_DEFAULT);
	client = fd_close(client);
	free(server.read_buffer);
	return uv_loop_close(&loop) < 0 || server.connection_count != 0 ? -1 : 0;
}

static void turn(void)
{
	for (int i = 0; i < 5; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

static void client_sends(const char *text)
{
	assert_int_equal(send(client, text, strlen(text), 0), strlen(text));
	turn();
}

/* As if so much time had passed with nothing happening. */
static void time_passes(uint64_t ms)
{
	struct connection *connection = server.connections;

	assert_non_null(connection);
	connection->phase_ms -= ms;
	connection->activity_ms -= ms;
	connection->progress_ms -= ms;
	on_timer(&connection->timer);
	turn();
}

static void client_gets(const char *beginning)
{
	char text[4096] = "";

	assert_true(recv(client, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
	assert_memory_equal(text, beginning, strlen(beginning));
}

static void a_head_that_takes_too_long(void **state)
{
	client_sends("GET /healthz HTTP/1.1\r\nHost:");
	time_passes(HTTP_HEAD_TIMEOUT_MS - 1000);
	assert_int_equal(recv(client, &(char){0}, 1, MSG_DONTWAIT), -1);
	/* A byte now and then is no excuse. */
	client_sends(" ");
	time_passes(2000);
	client_gets("HTTP/1.1 408 ");
	assert_int_equal(recv(client, &(char){0}, 1, 0), 0);
}

static void a_body_that_takes_too_long(void **state)
{
	client_sends("POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab");
	time_passes(HTTP_BODY_TIMEOUT_MS - 1000);
	client_sends("c");
	time_passes(HTTP_BODY_TIMEOUT_MS - 1000);
	assert_int_equal(recv(client, &(char){0}, 1, MSG_DONTWAIT), -1);
	time_passes(2000);
	client_gets("HTTP/1.1 408 ");
}

static void a_body_that_trickles(void **state)
{
	client_sends("POST /v1/machines HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
	for (int i = 0; i < 6; i++) {
		client_sends("a");
		time_passes(20000);
	}
	client_gets("HTTP/1.1 408 ");
}

static void an_idle_client(void **state)
{
	client_sends("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	client_gets("HTTP/1.1 200 ");
	time_passes(HTTP_IDLE_TIMEOUT_MS - 1000);
	client_sends("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	client_gets("HTTP/1.1 200 ");
	time_passes(HTTP_IDLE_TIMEOUT_MS + 1000);
	assert_int_equal(recv(client, &(char){0}, 1, 0), 0);
	assert_null(server.connections);
}

static void a_client_that_takes_nothing(void **state)
{
	static const char request[] = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";

	for (int i = 0; i < 100 && server.connections->output_bytes == 0; i++)
		client_sends(request);
	assert_true(server.connections->output_bytes > 0);
	time_passes(HTTP_WRITE_TIMEOUT_MS - 1000);
	assert_non_null(server.connections);
	time_passes(2000);
	assert_null(server.connections);
}

static void a_client_that_stays_after_the_last_answer(void **state)
{
	client_sends("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	client_gets("HTTP/1.1 200 ");
	client_sends("still talking");
	assert_non_null(server.connections);
	time_passes(HTTP_LINGER_TIMEOUT_MS + 1);
	assert_null(server.connections);
}

static void an_idle_connection_holds_no_buffers(void **state)
{
	client_sends("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost");
	client_sends(": x\r\n\r\n");
	assert_null(server.connections->pending.data);
	assert_null(server.connections->request);
	assert_true(sizeof(struct connection) < 1536);
}

int main(void)
{
#define CONNECTION_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CONNECTION_TEST(a_head_that_takes_too_long),
		CONNECTION_TEST(a_body_that_takes_too_long),
		CONNECTION_TEST(a_body_that_trickles),
		CONNECTION_TEST(an_idle_client),
		CONNECTION_TEST(a_client_that_takes_nothing),
		CONNECTION_TEST(a_client_that_stays_after_the_last_answer),
		CONNECTION_TEST(an_idle_connection_holds_no_buffers),
	};

	return cmocka_run_group_tests_name("api-connection", tests, NULL, NULL);
}
