/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client against a server that says what a test wants it to say. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "client.h"

#define REQUEST_BYTES_MAX (4 * 1024 * 1024)

/* ---- the server: one connection for each answer in turn ---- */

struct server {
	char directory[64];
	char path[96];
	int listen_fd;
	const char *until;  /* reads the request up to this; NULL: answers at once */
	const char *answer; /* then says this */
	size_t answer_length;
	bool stays; /* keeps the connection open until the client closes it */
	struct buf request;
	pthread_t thread;
	bool joined;
};

static void read_request(struct server *server, int fd)
{
	char data[65536];

	while (server->until != NULL && (server->request.data == NULL ||
					 strstr(server->request.data, server->until) == NULL)) {
		ssize_t n = read(fd, data, sizeof(data));

		if (n <= 0)
			return;
		assert_int_equal(buf_append(&server->request, data, (size_t)n), 0);
	}
}

static void *serve(void *user)
{
	struct server *server = user;
	int fd = accept(server->listen_fd, NULL, NULL);
	char byte;

	read_request(server, fd);
	(void)!send(fd, server->answer, server->answer_length, MSG_NOSIGNAL);
	while (server->stays && read(fd, &byte, 1) > 0)
		;
	fd_close(fd);
	return NULL;
}

static void server_start(struct server *server, const char *until, const char *answer)
{
	snprintf(server->directory, sizeof(server->directory), "/tmp/test-client-XXXXXX");
	assert_non_null(mkdtemp(server->directory));
	snprintf(server->path, sizeof(server->path), "%s/s", server->directory);
	assert_int_equal(fd_unix_listen(server->path, 0600, &server->listen_fd), 0);
	buf_init(&server->request, REQUEST_BYTES_MAX);
	server->until = until;
	server->answer = answer;
	server->answer_length = strlen(answer);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

/* What the server has read, whole. */
static const char *server_request(struct server *server)
{
	if (!server->joined)
		assert_int_equal(pthread_join(server->thread, NULL), 0);
	server->joined = true;
	return server->request.data;
}

static void server_end(struct server *server)
{
	(void)server_request(server);
	fd_close(server->listen_fd);
	buf_done(&server->request);
	assert_int_equal(file_remove_tree(server->directory), 0);
}

static struct client *connect_to(const char *path, const char *token)
{
	_cleanup_free_ char *url = mem_printf("unix://%s", path);
	struct endpoint endpoint;
	struct client *client;

	assert_int_equal(endpoint_parse(&endpoint, url, NULL), 0);
	endpoint.token = mem_strdup_or_null(token);
	assert_int_equal(client_new(&endpoint, &client, NULL), 0);
	endpoint_done(&endpoint);
	return client;
}

/* One call; what the server saw is in `server->request` afterwards, until server_end(). */
static int call(struct server *server, const struct client_request *request, struct buf *ret_answer,
		struct err *err)
{
	struct client *client = connect_to(server->path, "secret");
	int r = client_do(client, request, ret_answer, err);

	client_free(client);
	return r;
}

static const struct client_request get = {.method = "GET", .path = "/v1/x?a=b"};

/* ---- answers ---- */

static void a_request_says_what_it_must(void **state)
{
	struct server server = {0};
	const char *seen;
	_cleanup_buf_ struct buf answer = {0};

	server_start(&server, "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
	assert_int_equal(call(&server, &get, &answer, NULL), 0);
	assert_string_equal(answer.data, "{}");
	seen = server_request(&server);
	assert_memory_equal(seen, "GET /v1/x?a=b HTTP/1.1\r\n", 24);
	assert_non_null(strstr(seen, "\r\nHost: localhost\r\n"));
	assert_non_null(strstr(seen, "\r\nAccept: application/json\r\n"));
	assert_non_null(strstr(seen, "\r\nAuthorization: Bearer secret\r\n"));
	assert_null(strstr(seen, "Content-"));
	server_end(&server);
}

static void answers_are_judged(void **state)
{
	static const struct {
		const char *answer;
		int outcome;
		const char *text; /* of the answer, or part of the sentence */
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		 0, "abcde"},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
		 0, "x"},
		{"HTTP/1.0 200 OK\r\n\r\nto the end", 0, "to the end"},
		{"HTTP/1.1 404 No\r\nContent-Length: 22\r\n\r\n{\"error\":\"none of it\"}\n",
		 -ENOENT, "none of it"},
		{"HTTP/1.1 409 No\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "13\r\n{\"error\":\"it runs\"}\r\n0\r\n\r\n",
		 -EBUSY, "it runs"},
		{"HTTP/1.1 502 No\r\nContent-Length: 5\r\n\r\nnginx", -EIO, "this is not krun-api"},
		{"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", -EIO, "this is not krun-api"},
		{"SSH-2.0-OpenSSH_9.2\r\n", -EIO, "does not speak HTTP/1.1"},
		{"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", -EIO, "does not speak HTTP/1.1"},
		{"", -ECONNRESET, "went away"},
		{"HTTP/1.1 200 OK\r\nContent-Le", -ECONNRESET, "went away"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", -ECONNRESET, "went away"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", -ECONNRESET,
		 "went away"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server server = {0};
		_cleanup_buf_ struct buf answer = {0};
		struct err err = {0};

		server_start(&server, "\r\n\r\n", cases[i].answer);
		assert_int_equal(call(&server, &get, &answer, &err), cases[i].outcome);
		if (cases[i].outcome == 0)
			assert_string_equal(answer.data, cases[i].text);
		else
			assert_non_null(strstr(err.text, cases[i].text));
		server_end(&server);
	}
}

static void heads_are_bounded(void **state)
{
	_cleanup_free_ char *value = mem_printf("HTTP/1.1 200 OK\r\nX: %070000d\r\n\r\n", 1);
	_cleanup_buf_ struct buf many = {0};
	const char *answers[2] = {value};

	buf_init(&many, 65536);
	assert_int_equal(buf_append_string(&many, "HTTP/1.1 200 OK\r\n"), 0);
	for (int i = 0; i < 200; i++)
		assert_int_equal(buf_append_string(&many, "X: y\r\n"), 0);
	assert_int_equal(buf_append_string(&many, "\r\n"), 0);
	answers[1] = many.data;
	for (int i = 0; i < 2; i++) {
		struct server server = {0};
		struct err err = {0};

		server_start(&server, "\r\n\r\n", answers[i]);
		assert_int_equal(call(&server, &get, NULL, &err), -EIO);
		assert_non_null(strstr(err.text, "too long"));
		server_end(&server);
	}
}

/* ---- bodies ---- */

struct source {
	size_t left;
	int failure;
};

static ssize_t give(void *user, char *data, size_t length)
{
	struct source *source = user;
	size_t n = MIN(length, source->left);

	if (n == 0 && source->failure < 0)
		return source->failure;
	memset(data, 'b', n);
	source->left -= n;
	return (ssize_t)n;
}

static void bodies_go_in_chunks(void **state)
{
	struct server server = {0};
	const char *seen;
	struct source source = {.left = 100000};
	size_t count = 0;

	server_start(&server, "\r\n000000\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n");
	assert_int_equal(call(&server,
			      &(struct client_request){.method = "PUT",
						       .path = "/",
						       .source = give,
						       .source_bytes = -1,
						       .user = &source},
			      NULL, NULL),
			 0);
	seen = server_request(&server);
	assert_non_null(strstr(seen, "\r\nTransfer-Encoding: chunked\r\n"));
	assert_non_null(strstr(seen, "\r\n010000\r\nbbb"));
	for (size_t i = 0; i < server.request.length; i++)
		count += seen[i] == 'b';
	assert_true(count >= 100000);
	server_end(&server);
}

static void a_length_that_was_said_is_kept(void **state)
{
	static const struct {
		size_t left;
		int outcome;
	} cases[] = {{70000, 0}, {69999, -EIO}, {70001, -EIO}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server server = {0};
		struct source source = {.left = cases[i].left};
		_cleanup_free_ char *all = mem_zalloc(70001);

		memset(all, 'b', 70000);
		server_start(&server, all, "HTTP/1.1 204 No Content\r\n\r\n");
		assert_int_equal(call(&server,
				      &(struct client_request){.method = "POST",
							       .path = "/",
							       .source = give,
							       .source_bytes = 70000,
							       .user = &source},
				      NULL, NULL),
				 cases[i].outcome);
		server_end(&server);
	}
}

static void a_source_that_fails_breaks_off(void **state)
{
	struct server server = {0};
	const char *seen;
	struct source source = {.left = 10, .failure = -EREMOTEIO};

	server_start(&server, "\r\n000000\r\n", "");
	assert_int_equal(call(&server,
			      &(struct client_request){.method = "PUT",
						       .path = "/",
						       .source = give,
						       .source_bytes = -1,
						       .user = &source},
			      NULL, NULL),
			 -EREMOTEIO);
	seen = server_request(&server);
	/* The server must see that this was not all. */
	assert_null(strstr(seen, "000000\r\n"));
	server_end(&server);
}

/* The server says no and reads no more: its sentence counts, not the broken pipe. */
static void an_early_refusal_is_heard(void **state)
{
	struct server server = {0};
	struct source source = {.left = 256U * 1024 * 1024};
	struct err err = {0};

	server_start(&server, "\r\n\r\n",
		     "HTTP/1.1 413 No\r\nContent-Length: 20\r\n\r\n{\"error\":\"too much\"}");
	assert_int_equal(call(&server,
			      &(struct client_request){.method = "PUT",
						       .path = "/",
						       .source = give,
						       .source_bytes = -1,
						       .user = &source},
			      NULL, &err),
			 -E2BIG);
	assert_string_equal(err.text, "too much");
	server_end(&server);
}

/* ---- time ---- */

static void deadlines_hold(void **state)
{
	const struct client_request requests[] = {
		{.method = "GET", .path = "/", .timeout_ms = 50},
		{.method = "GET", .path = "/", .timeout_ms = -1, .idle_s = 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct server server = {.stays = true};
		struct err err = {0};

		server_start(&server, "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1");
		assert_int_equal(call(&server, &requests[i], NULL, &err), -ETIME);
		assert_non_null(strstr(err.text, "did not answer in time"));
		server_end(&server);
	}
}

static void nobody_there_is_said(void **state)
{
	static const struct {
		const char *url, *text;
	} cases[] = {
		{"unix:///nowhere/api.sock", "no krun-api answers at unix:///nowhere/api.sock"},
		{"http://127.0.0.1:1", "no krun-api answers at http://127.0.0.1:1"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct endpoint endpoint;
		struct client *client;
		struct err err = {0};

		assert_int_equal(endpoint_parse(&endpoint, cases[i].url, NULL), 0);
		assert_int_equal(client_new(&endpoint, &client, NULL), 0);
		assert_int_equal(client_do(client, &get, NULL, &err), -ECONNREFUSED);
		assert_memory_equal(err.text, cases[i].text, strlen(cases[i].text));
		client_free(client);
		endpoint_done(&endpoint);
	}
}

/* Two at once: each sees its own answer, and one that is broken off leaves the other alone. */
static void calls_go_on_beside_each_other(void **state)
{
	struct server slow = {.stays = true}, fast = {0};
	struct client *one, *other;
	struct client_call *first, *second;
	_cleanup_buf_ struct buf answer = {0};

	server_start(&slow, "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1");
	server_start(&fast, "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
	one = connect_to(slow.path, NULL);
	other = connect_to(fast.path, NULL);
	assert_int_equal(client_begin(one, &get, &first, NULL), 0);
	assert_int_equal(client_begin(other, &get, &second, NULL), 0);
	while (!client_call_is_done(second))
		assert_int_equal(client_step(other, -1, 1000, NULL), 0);
	assert_int_equal(client_end(second, &answer, NULL), 0);
	assert_string_equal(answer.data, "2");
	assert_int_equal(client_step(one, -1, 0, NULL), 0);
	assert_false(client_call_is_done(first));
	assert_int_equal(client_end(first, NULL, NULL), -ECANCELED);
	client_free(one);
	client_free(other);
	server_end(&slow);
	server_end(&fast);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_says_what_it_must),
		cmocka_unit_test(answers_are_judged),
		cmocka_unit_test(heads_are_bounded),
		cmocka_unit_test(bodies_go_in_chunks),
		cmocka_unit_test(a_length_that_was_said_is_kept),
		cmocka_unit_test(a_source_that_fails_breaks_off),
		cmocka_unit_test(an_early_refusal_is_heard),
		cmocka_unit_test(deadlines_hold),
		cmocka_unit_test(nobody_there_is_said),
		cmocka_unit_test(calls_go_on_beside_each_other),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
