/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of WebSocket against a server that shakes hands and then says what a test wants. */
#include <errno.h>
#include <poll.h>
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

#include "base/buf.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "handshake.h"
#include "websocket.h"

#define BYTES_MAX  (4 * 1024 * 1024)
#define PATIENCE_S 20

struct server {
	char directory[64];
	char path[96];
	int listen_fd;
	const char *head;   /* of the answer; NULL: a good handshake */
	const char *accept; /* what proves it; NULL: what is right */
	struct buf frames;  /* behind the head, in the same write */
	bool stays;         /* until the client closes */
	struct buf seen;    /* of the client, behind its head */
	pthread_t thread;
};

static void answer(struct server *server, int fd, const char *request)
{
	const char *key = strstr(request, "Sec-WebSocket-Key: ");
	char right[HANDSHAKE_ACCEPT_BYTES], text[HANDSHAKE_KEY_BYTES] = {0};
	_cleanup_buf_ struct buf out = {0};

	assert_non_null(key);
	memcpy(text, key + strlen("Sec-WebSocket-Key: "), HANDSHAKE_KEY_BYTES - 1);
	handshake_accept(text, right);
	buf_init(&out, BYTES_MAX);
	if (server->head != NULL)
		assert_int_equal(buf_append_string(&out, server->head), 0);
	else
		assert_int_equal(buf_printf(&out,
					    "HTTP/1.1 101 Switching Protocols\r\n"
					    "Connection: Upgrade\r\nUpgrade: WebSocket\r\n"
					    "Sec-WebSocket-Accept: %s\r\n\r\n",
					    server->accept != NULL ? server->accept : right),
				 0);
	assert_int_equal(buf_append(&out, server->frames.data, server->frames.length), 0);
	/* The client may have had enough before that. */
	for (size_t at = 0; at < out.length;) {
		ssize_t n = send(fd, out.data + at, out.length - at, MSG_NOSIGNAL);

		if (n < 0)
			break;
		at += (size_t)n;
	}
}

static void *serve(void *user)
{
	struct server *server = user;
	int fd = accept(server->listen_fd, NULL, NULL);
	_cleanup_buf_ struct buf request = {0};
	char data[65536];
	ssize_t n;

	buf_init(&request, BYTES_MAX);
	while (request.data == NULL || strstr(request.data, "\r\n\r\n") == NULL) {
		n = read(fd, data, sizeof(data));
		assert_true(n > 0);
		assert_int_equal(buf_append(&request, data, (size_t)n), 0);
	}
	answer(server, fd, request.data);
	if (!server->stays)
		shutdown(fd, SHUT_WR);
	while ((n = read(fd, data, sizeof(data))) > 0)
		assert_int_equal(buf_append(&server->seen, data, (size_t)n), 0);
	fd_close(fd);
	return NULL;
}

static void server_init(struct server *server)
{
	*server = (struct server){0};
	snprintf(server->directory, sizeof(server->directory), "/tmp/test-websocket-XXXXXX");
	assert_non_null(mkdtemp(server->directory));
	snprintf(server->path, sizeof(server->path), "%s/s", server->directory);
	assert_int_equal(fd_unix_listen(server->path, 0600, &server->listen_fd), 0);
	buf_init(&server->frames, BYTES_MAX);
	buf_init(&server->seen, BYTES_MAX);
}

static void server_done(struct server *server)
{
	fd_close(server->listen_fd);
	buf_done(&server->frames);
	buf_done(&server->seen);
	assert_int_equal(file_remove_tree(server->directory), 0);
}

/* A frame of a server: not masked. */
static void add_frame(struct server *server, uint8_t first, const void *data, size_t length)
{
	uint8_t head[10] = {first};
	size_t head_length = 2;

	if (length < 126) {
		head[1] = (uint8_t)length;
	} else {
		head[1] = 127;
		for (size_t i = 0; i < 8; i++)
			head[2 + i] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
		head_length = 10;
	}
	assert_int_equal(buf_append(&server->frames, head, head_length), 0);
	assert_int_equal(buf_append(&server->frames, data, length), 0);
}

enum { TEXT = 0x81, BINARY = 0x82, CLOSE = 0x88, PING = 0x89, BINARY_BEGUN = 0x02, REST = 0x80 };

/* ---- the client ---- */

struct heard {
	unsigned count;
	char text[256]; /* of all messages, one behind the other; longer ones by their length */
};

static void hear(void *user, bool text, const uint8_t *data, size_t length)
{
	struct heard *heard = user;
	size_t have = strlen(heard->text);

	heard->count++;
	if (length < 64)
		snprintf(heard->text + have, sizeof(heard->text) - have, "%s:%.*s;",
			 text ? "text" : "binary", (int)length, (const char *)data);
	else
		snprintf(heard->text + have, sizeof(heard->text) - have, "%zu;", length);
}

static int open_it(struct server *server, struct heard *heard, struct websocket **ret_websocket,
		   struct err *err)
{
	_cleanup_free_ char *url = mem_printf("unix://%s", server->path);
	struct endpoint endpoint;
	struct client *client;
	int r;

	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
	assert_int_equal(endpoint_parse(&endpoint, url, NULL), 0);
	assert_int_equal(client_new(&endpoint, &client, NULL), 0);
	r = websocket_open(client, "/v1/machines/web/exec", hear, heard, ret_websocket, err);
	/* A websocket needs it no more. */
	client_free(client);
	endpoint_done(&endpoint);
	return r;
}

/* Until it ends, or until that many messages were heard. */
static int run(struct websocket *websocket, const struct heard *heard, unsigned count)
{
	int r = 0;

	while (r == 0 && (count == 0 || heard->count < count)) {
		struct pollfd poll_fd = {.fd = websocket_fd(websocket),
					 .events = websocket_poll_events(websocket)};

		assert_true(websocket_is_ready(websocket) ||
			    poll(&poll_fd, 1, PATIENCE_S * 1000) > 0);
		r = websocket_step(websocket, poll_fd.revents);
	}
	return r;
}

static void finish(struct server *server, struct websocket *websocket)
{
	websocket_free(websocket);
	assert_int_equal(pthread_join(server->thread, NULL), 0);
}

/* ---- handshakes ---- */

/* The example of RFC 6455 §1.3. */
static void the_proof_is_the_rfcs(void **state)
{
	char accept[HANDSHAKE_ACCEPT_BYTES];
	char key[HANDSHAKE_KEY_BYTES], other[HANDSHAKE_KEY_BYTES];

	handshake_accept("dGhlIHNhbXBsZSBub25jZQ==", accept);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	handshake_make_key(key);
	handshake_make_key(other);
	assert_int_equal(strlen(key), 24);
	assert_memory_equal(key + 22, "==", 2);
	assert_string_not_equal(key, other);
}

static void bad_handshakes_are_refused(void **state)
{
	static const struct {
		const char *head, *accept;
		int outcome;
		const char *text;
	} cases[] = {
		{NULL, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", -EPROTO, "does not speak WebSocket"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", NULL, -EPROTO,
		 "does not speak WebSocket"},
		{"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		 NULL, -EPROTO, "does not speak WebSocket"},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n{\"error\":\"no such\"}",
		 NULL, -ENOENT, "no such"},
		{"", NULL, -ECONNRESET, "went away"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct websocket *websocket = NULL;
		struct heard heard = {0};
		struct server server;
		struct err err = {0};

		server_init(&server);
		server.head = cases[i].head;
		server.accept = cases[i].accept;
		assert_int_equal(open_it(&server, &heard, &websocket, &err), cases[i].outcome);
		assert_non_null(strstr(err.text, cases[i].text));
		finish(&server, websocket);
		server_done(&server);
	}
}

/* ---- messages ---- */

static void messages_come_whole(void **state)
{
	_cleanup_free_ char *large = mem_zalloc(WEBSOCKET_MESSAGE_BYTES_MAX);
	struct websocket *websocket;
	struct heard heard = {0};
	struct server server;

	server_init(&server);
	add_frame(&server, TEXT, "one", 3);
	add_frame(&server, BINARY_BEGUN, "tw", 2);
	add_frame(&server, PING, "p", 1);
	add_frame(&server, REST, "o", 1);
	add_frame(&server, BINARY, large, WEBSOCKET_MESSAGE_BYTES_MAX);
	add_frame(&server, BINARY, "", 0);
	add_frame(&server, CLOSE, "\x03\xe8", 2);
	assert_int_equal(open_it(&server, &heard, &websocket, NULL), 0);
	assert_int_equal(run(websocket, &heard, 0), 1);
	assert_string_equal(heard.text, "text:one;binary:two;1048576;binary:;");
	finish(&server, websocket);
	server_done(&server);
}

/* Pongs are masked, as all that a client sends. */
static void pings_are_answered(void **state)
{
	struct websocket *websocket;
	struct heard heard = {0};
	struct server server;
	const uint8_t *seen;

	server_init(&server);
	add_frame(&server, PING, "ab", 2);
	add_frame(&server, TEXT, "x", 1);
	server.stays = true;
	assert_int_equal(open_it(&server, &heard, &websocket, NULL), 0);
	assert_int_equal(run(websocket, &heard, 1), 0);
	assert_int_equal(websocket_step(websocket, POLLOUT), 0);
	finish(&server, websocket);
	seen = (const uint8_t *)server.seen.data;
	assert_int_equal(server.seen.length, 8);
	assert_int_equal(seen[0], 0x8a);
	assert_int_equal(seen[1], 0x82);
	assert_int_equal(seen[6] ^ seen[2], 'a');
	assert_int_equal(seen[7] ^ seen[3], 'b');
	server_done(&server);
}

static void messages_go_masked_behind_their_channel(void **state)
{
	struct websocket *websocket;
	struct heard heard = {0};
	struct server server;
	const uint8_t *seen;

	server_init(&server);
	server.stays = true;
	assert_int_equal(open_it(&server, &heard, &websocket, NULL), 0);
	websocket_send(websocket, 4, "hi", 2);
	websocket_send_text(websocket, "{}");
	assert_true(websocket_queued_bytes(websocket) > 0);
	while (websocket_queued_bytes(websocket) > 0)
		assert_int_equal(websocket_step(websocket, POLLOUT), 0);
	finish(&server, websocket);
	seen = (const uint8_t *)server.seen.data;
	assert_int_equal(server.seen.length, 9 + 8);
	assert_int_equal(seen[0], BINARY);
	assert_int_equal(seen[1], 0x83);
	assert_int_equal(seen[6] ^ seen[2], 4);
	assert_int_equal(seen[7] ^ seen[3], 'h');
	assert_int_equal(seen[8] ^ seen[4], 'i');
	assert_int_equal(seen[9], TEXT);
	assert_int_equal(seen[15] ^ seen[11], '{');
	server_done(&server);
}

static void a_held_one_gives_nothing(void **state)
{
	struct websocket *websocket;
	struct heard heard = {0};
	struct server server;

	server_init(&server);
	add_frame(&server, TEXT, "one", 3);
	server.stays = true;
	assert_int_equal(open_it(&server, &heard, &websocket, NULL), 0);
	websocket_hold(websocket, true);
	assert_false(websocket_is_ready(websocket));
	assert_int_equal(websocket_poll_events(websocket) & POLLIN, 0);
	assert_int_equal(websocket_step(websocket, POLLIN), 0);
	assert_int_equal(heard.count, 0);
	websocket_hold(websocket, false);
	assert_int_equal(run(websocket, &heard, 1), 0);
	assert_string_equal(heard.text, "text:one;");
	finish(&server, websocket);
	server_done(&server);
}

static void what_breaks_the_rules_ends_it(void **state)
{
	_cleanup_free_ char *large = mem_zalloc(WEBSOCKET_MESSAGE_BYTES_MAX + 1);
	const struct {
		uint8_t first;
		const void *data;
		size_t length;
		int outcome;
	} cases[] = {
		{BINARY, large, WEBSOCKET_MESSAGE_BYTES_MAX + 1, -EPROTO},
		{0xc2, "x", 1, -EPROTO},      /* a reserved bit */
		{0x83, "x", 1, -EPROTO},      /* an opcode that is none */
		{REST, "x", 1, -EPROTO},      /* the rest of nothing */
		{TEXT, "\xff", 1, -EPROTO},   /* no text */
		{0x09, "x", 1, -EPROTO},      /* a ping in parts */
		{BINARY, "x", 1, -ECONNRESET} /* and then nothing, without a close */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct websocket *websocket;
		struct heard heard = {0};
		struct server server;

		server_init(&server);
		add_frame(&server, cases[i].first, cases[i].data, cases[i].length);
		assert_int_equal(open_it(&server, &heard, &websocket, NULL), 0);
		assert_int_equal(run(websocket, &heard, 0), cases[i].outcome);
		finish(&server, websocket);
		server_done(&server);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_proof_is_the_rfcs),
		cmocka_unit_test(bad_handshakes_are_refused),
		cmocka_unit_test(messages_come_whole),
		cmocka_unit_test(pings_are_answered),
		cmocka_unit_test(messages_go_masked_behind_their_channel),
		cmocka_unit_test(a_held_one_gives_nothing),
		cmocka_unit_test(what_breaks_the_rules_ends_it),
	};

	return cmocka_run_group_tests_name("websocket", tests, NULL, NULL);
}
