/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP glue without sockets: addresses, requests from bytes, targets, tokens, routes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "auth.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "http_parser.h"
#include "image.h"
#include "merge.h"
#include "openapi.h"
#include "query.h"
#include "routes.h"

/* ---- addresses ---- */

static void addresses_are_parsed(void **state)
{
	static const struct {
		const char *text;
		enum address_kind kind;
		uint16_t port;
		bool local;
	} good[] = {
		{"8080", ADDRESS_LOOPBACK, 8080, true},
		{":8080", ADDRESS_LOOPBACK, 8080, true},
		{"localhost:80", ADDRESS_LOOPBACK, 80, true},
		{"127.0.0.1:1", ADDRESS_INET4, 1, true},
		{"127.9.9.9:1", ADDRESS_INET4, 1, true},
		{"0.0.0.0:65535", ADDRESS_INET4, 65535, false},
		{"[::1]:0", ADDRESS_INET6, 0, true},
		{"[::]:80", ADDRESS_INET6, 80, false},
		{"unix:///run/a.sock", ADDRESS_UNIX, 0, true},
	};
	static const char *const bad[] = {
		"",
		":",
		"x",
		":-1",
		":65536",
		"::1:80",
		"[::1",
		"[::1]",
		"example.org:80",
		"unix://",
		"unix://a",
		"1.2.3:80",
		"127.0.0.1",
		"[127.0.0.1:80",
		"80 ",
		"+80",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct address address;
		struct err err = {0};

		assert_int_equal(address_parse(good[i].text, &address, &err), 0);
		assert_int_equal(address.kind, good[i].kind);
		assert_int_equal(address.port, good[i].port);
		assert_int_equal(address_is_local(&address), good[i].local);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct address address;
		struct err err = {0};

		assert_int_equal(address_parse(bad[i], &address, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i]));
	}
}

static void loopback_is_two_sockets(void **state)
{
	struct sockaddr_storage sockets[2];
	struct address address;

	assert_int_equal(address_parse(":80", &address, NULL), 0);
	assert_int_equal(address_sockets(&address, sockets), 2);
	assert_int_equal(sockets[0].ss_family, AF_INET);
	assert_int_equal(sockets[1].ss_family, AF_INET6);
}

static void hosts_that_are_ours(void **state)
{
	static const char *const ours[] = {
		"localhost", "LocalHost:80", "localhost.", "a.localhost", "127.0.0.1:80",
		"10.1.2.3",  "[::1]",        "[::1]:80",   "box",         "BOX:80",
	};
	static const char *const foreign[] = {
		"",
		"evil.example",
		"localhost.evil.example",
		"evillocalhost",
		"127.0.0.1.example",
		"[::1",
		"[evil]",
		"localhost:port",
		":80",
		"localhost:80:80",
		"box.evil",
		"[::1]x",
		".localhost.evil",
	};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		assert_true(address_host_is_ours(ours[i], "box"));
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		assert_false(address_host_is_ours(foreign[i], "box"));
	assert_false(address_host_is_ours("box", NULL));
}

/* ---- requests from bytes ---- */

struct seen {
	unsigned heads;
	char target[64], host[64];
	enum http_method method;
	bool keep_alive, has_body, upgrade;
	char body[256];
	size_t body_bytes;
};

static void see_head(void *user, const struct http_head *head)
{
	struct seen *seen = user;

	seen->heads++;
	snprintf(seen->target, sizeof(seen->target), "%s", head->target);
	if (head->headers[HTTP_HEADER_HOST] != NULL)
		snprintf(seen->host, sizeof(seen->host), "%s", head->headers[HTTP_HEADER_HOST]);
	seen->method = head->method;
	seen->keep_alive = head->keep_alive;
	seen->upgrade = head->upgrade;
	seen->has_body = head->has_body;
}

static void see_body(void *user, const char *data, size_t length)
{
	struct seen *seen = user;

	assert_true(seen->body_bytes + length < sizeof(seen->body));
	memcpy(seen->body + seen->body_bytes, data, length);
	seen->body_bytes += length;
}

static const struct http_events events = {.on_head = see_head, .on_body = see_body};

/* Feeds the text in pieces of `piece` bytes. The last outcome; `ret_complete` counts requests. */
static int feed_all(struct seen *seen, const char *text, size_t piece, unsigned *ret_complete)
{
	struct http_parser parser;
	size_t length = strlen(text), at = 0;
	int r = 0;

	*seen = (struct seen){0};
	*ret_complete = 0;
	http_parser_init(&parser, &events, seen);
	while (at < length && r >= 0) {
		size_t used = 0;

		r = http_parser_feed(&parser, text + at, length - at < piece ? length - at : piece,
				     &used);
		at += used;
		*ret_complete += r == HTTP_FEED_COMPLETE;
	}
	http_parser_done(&parser);
	return r;
}

static void requests_are_read_in_any_pieces(void **state)
{
	static const char text[] =
		"POST /a?b=c HTTP/1.1\r\nHost: here\r\nX-Long-Name-Of-No-Interest: x\r\n"
		"Content-Length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\nHost: there\r\n\r\n";
	struct seen seen;
	unsigned complete;

	for (size_t piece = 1; piece < sizeof(text); piece++) {
		assert_int_equal(feed_all(&seen, text, piece, &complete), HTTP_FEED_COMPLETE);
		assert_int_equal(complete, 2);
		assert_int_equal(seen.heads, 2);
		assert_string_equal(seen.target, "/next");
		assert_string_equal(seen.host, "there");
		assert_int_equal(seen.method, HTTP_METHOD_GET);
		assert_memory_equal(seen.body, "hello", 5);
	}
}

static void chunked_bodies_are_put_together(void **state)
{
	static const char text[] =
		"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nHost: trailer\r\n\r\n";
	struct seen seen;
	unsigned complete;

	for (size_t piece = 1; piece < sizeof(text); piece++) {
		assert_int_equal(feed_all(&seen, text, piece, &complete), HTTP_FEED_COMPLETE);
		assert_true(seen.has_body);
		assert_int_equal(seen.body_bytes, 5);
		assert_memory_equal(seen.body, "abcde", 5);
		assert_string_equal(seen.host, "x");
	}
}

static void methods_are_told_apart(void **state)
{
	static const struct {
		const char *word;
		enum http_method method;
	} words[] = {
		{"GET", HTTP_METHOD_GET},        {"HEAD", HTTP_METHOD_HEAD},
		{"POST", HTTP_METHOD_POST},      {"PUT", HTTP_METHOD_PUT},
		{"PATCH", HTTP_METHOD_PATCH},    {"DELETE", HTTP_METHOD_DELETE},
		{"TRACE", HTTP_METHOD_OTHER},    {"OPTIONS", HTTP_METHOD_OTHER},
		{"PROPFIND", HTTP_METHOD_OTHER},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct seen seen;
		unsigned complete;
		char text[64];

		snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: x\r\n\r\n", words[i].word);
		assert_int_equal(feed_all(&seen, text, 1000, &complete), HTTP_FEED_COMPLETE);
		assert_int_equal(seen.method, words[i].method);
	}
}

static void upgrades_are_only_asked_for(void **state)
{
	struct seen seen;
	unsigned complete;

	assert_int_equal(feed_all(&seen,
				  "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
				  "Upgrade: websocket\r\n\r\n",
				  1000, &complete),
			 HTTP_FEED_COMPLETE);
	assert_false(seen.keep_alive);
	assert_true(seen.upgrade);
	/* Not by HTTP/1.0, not without both headers, not by another method. */
	assert_int_equal(feed_all(&seen,
				  "GET / HTTP/1.0\r\nHost: x\r\nConnection: upgrade\r\n"
				  "Upgrade: websocket\r\n\r\n",
				  1000, &complete),
			 HTTP_FEED_COMPLETE);
	assert_false(seen.upgrade);
	assert_int_equal(feed_all(&seen, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
				  1000, &complete),
			 HTTP_FEED_COMPLETE);
	assert_false(seen.upgrade);
	assert_int_equal(feed_all(&seen,
				  "POST / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
				  "Upgrade: websocket\r\n\r\n",
				  1000, &complete),
			 HTTP_FEED_COMPLETE);
	assert_false(seen.upgrade);
}

static void what_smuggles_is_refused(void **state)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
		"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
		"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\n",
		"GET / HTTP/1.2\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct seen seen;
		unsigned complete;

		assert_int_equal(feed_all(&seen, bad[i], 1000, &complete), -EBADMSG);
		assert_int_equal(complete, 0);
	}
}

static char *repeat(const char *before, char c, size_t count, const char *after)
{
	char *text = mem_zalloc(strlen(before) + count + strlen(after) + 1);

	strcpy(text, before);
	memset(text + strlen(before), c, count);
	strcat(text, after);
	return text;
}

static void heads_have_limits(void **state)
{
	static const char end[] = " HTTP/1.1\r\nHost: x\r\n\r\n";
	struct seen seen;
	unsigned complete;
	char *text;

	text = repeat("GET /", 'a', HTTP_TARGET_BYTES_MAX - 1, end);
	assert_int_equal(feed_all(&seen, text, 1000, &complete), HTTP_FEED_COMPLETE);
	free(text);
	text = repeat("GET /", 'a', HTTP_TARGET_BYTES_MAX, end);
	assert_int_equal(feed_all(&seen, text, 1000, &complete), -ENAMETOOLONG);
	free(text);
	text = repeat("GET / HTTP/1.1\r\nX: ", 'a', HTTP_HEAD_BYTES_MAX, "\r\n\r\n");
	assert_int_equal(feed_all(&seen, text, 1000, &complete), -E2BIG);
	free(text);
	text = repeat("GET / HTTP/1.1\r\nHost: ", 'a', HTTP_HEADER_VALUE_BYTES_MAX + 1, "\r\n\r\n");
	assert_int_equal(feed_all(&seen, text, 1000, &complete), -E2BIG);
	free(text);
}

/* ---- targets ---- */

static void queries_are_split_and_decoded(void **state)
{
	char text[] = "a=1&b=x%20y+z&&c&label=k%3Dv&label=w";
	struct query query;
	struct {
		long long a;
		const char *b;
		bool c;
		struct query_texts labels;
	} target = {0};
	static const struct query_field fields[] = {
		{"a", QUERY_INT, 0, 0, 5},  {"b", QUERY_TEXT, 8}, {"c", QUERY_BOOL, 16},
		{"label", QUERY_TEXTS, 24}, QUERY_FIELD_END,
	};

	assert_int_equal(query_split(text, &query, NULL), 0);
	assert_int_equal(query_read(&query, fields, &target, NULL), 0);
	assert_int_equal(target.a, 1);
	assert_string_equal(target.b, "x y z");
	assert_true(target.c);
	assert_int_equal(target.labels.count, 2);
	assert_string_equal(target.labels.items[0], "k=v");
	query_done(&query);
}

static void a_field_may_take_any_bytes(void **state)
{
	static const struct query_field fields[] = {{"p", QUERY_BYTES, 0}, QUERY_FIELD_END};
	char text[] = "p=/%01%ff%0a+%2b";
	const char *value = NULL;
	struct query query;

	assert_int_equal(query_split(text, &query, NULL), 0);
	assert_int_equal(query_read(&query, fields, &value, NULL), 0);
	assert_string_equal(value, "/\x01\xff\n +");
	query_done(&query);
}

static void queries_that_are_refused(void **state)
{
	static const char *const bad[] = {"a=6",  "a=-1",  "a=x",    "a=",     "a=1&a=2", "z=1",
					  "c=no", "s=1e3", "s=-1",   "s=3601", "s=1.",    "s=.5",
					  "t=x",  "a=1 ",  "s=1.0x", "a=1%0a"};
	static const char *const broken[] = {"a=%", "a=%1", "a=%zz", "%00=1", "%0a=1", "a=%00"};
	static const struct query_field fields[] = {
		{"a", QUERY_INT, 0, 0, 5}, {"c", QUERY_BOOL, 8}, {"s", QUERY_SECONDS, 16, 0, 3600},
		{"t", QUERY_TIME, 24},     QUERY_FIELD_END,
	};
	long long target[8];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *text = mem_strdup(bad[i]);
		struct query query;

		assert_int_equal(query_split(text, &query, NULL), 0);
		assert_int_equal(query_read(&query, fields, target, NULL), -EINVAL);
		query_done(&query);
		free(text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		char *text = mem_strdup(broken[i]);
		struct query query;

		assert_int_equal(query_split(text, &query, NULL), -EINVAL);
		query_done(&query);
		free(text);
	}
}

static void seconds_become_milliseconds(void **state)
{
	static const struct {
		const char *text;
		long long ms;
	} good[] = {{"0", 0},          {"30", 30000}, {"0.25", 250},        {"1.5", 1500},
		    {"3600", 3600000}, {"0.0019", 1}, {"2.000000001", 2000}};
	static const struct query_field fields[] = {{"s", QUERY_SECONDS, 0, 0, 3600},
						    QUERY_FIELD_END};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct query_item item = {"s", good[i].text};
		struct query query = {&item, 1};
		long long ms = -1;

		assert_int_equal(query_read(&query, fields, &ms, NULL), 0);
		assert_int_equal(ms, good[i].ms);
	}
}

static void paths_are_split(void **state)
{
	const char *segments[PATH_SEGMENTS_MAX];
	char text[] = "/v1/images/a%2Fb%3A1/c", empty[] = "/", relative[] = "a/b", broken[] = "/%4",
	     nul[] = "/a%00b";
	char *deep = repeat("", '/', PATH_SEGMENTS_MAX + 1, "");

	assert_int_equal(path_split(text, segments, NULL), 4);
	assert_string_equal(segments[2], "a/b:1");
	assert_int_equal(path_split(empty, segments, NULL), 1);
	assert_string_equal(segments[0], "");
	assert_int_equal(path_split(relative, segments, NULL), -EINVAL);
	assert_int_equal(path_split(broken, segments, NULL), -EINVAL);
	assert_int_equal(path_split(nul, segments, NULL), -EINVAL);
	assert_int_equal(path_split(deep, segments, NULL), -EINVAL);
	free(deep);
}

/* ---- tokens ---- */

static char directory[] = "/tmp/test-api-XXXXXX";

static int make_directory(void **state)
{
	strcpy(directory, "/tmp/test-api-XXXXXX");
	return mkdtemp(directory) == NULL ? -1 : 0;
}

static int remove_directory(void **state)
{
	char *path = mem_printf("%s/token", directory);

	unlink(path);
	free(path);
	return rmdir(directory);
}

static enum auth_outcome decide(const struct auth *auth, const char *host, const char *origin,
				const char *authorization)
{
	struct http_head head = {0};

	head.headers[HTTP_HEADER_HOST] = host;
	head.headers[HTTP_HEADER_ORIGIN] = origin;
	head.headers[HTTP_HEADER_AUTHORIZATION] = authorization;
	return auth_decide(auth, &head);
}

static void the_token_decides(void **state)
{
	char *path = mem_printf("%s/token", directory), *good, *longer, *wrong;
	struct auth auth = {0};
	struct stat st;
	char token[128];
	FILE *file;

	assert_int_equal(auth_make_token(path, NULL), 0);
	assert_int_equal(auth_make_token(path, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(auth_load_token(&auth, path, NULL), 0);
	file = fopen(path, "r");
	assert_non_null(fgets(token, sizeof(token), file));
	fclose(file);
	token[strcspn(token, "\n")] = '\0';
	assert_int_equal(strlen(token), 64);
	good = mem_printf("Bearer %s", token);
	longer = mem_printf("Bearer %s0", token);
	token[10] ^= 1;
	wrong = mem_printf("Bearer %s", token);
	assert_int_equal(decide(&auth, "localhost", NULL, good), AUTH_OK);
	assert_int_equal(decide(&auth, "localhost:1", "http://localhost:1", good), AUTH_OK);
	assert_int_equal(decide(&auth, "localhost:1", "http://localhost:2", good),
			 AUTH_FOREIGN_ORIGIN);
	assert_int_equal(decide(&auth, "localhost", "null", good), AUTH_FOREIGN_ORIGIN);
	assert_int_equal(decide(&auth, "evil", NULL, good), AUTH_FOREIGN_HOST);
	assert_int_equal(decide(&auth, NULL, NULL, good), AUTH_FOREIGN_HOST);
	assert_int_equal(decide(&auth, "localhost", NULL, NULL), AUTH_NO_TOKEN);
	assert_int_equal(decide(&auth, "localhost", NULL, wrong), AUTH_WRONG_TOKEN);
	assert_int_equal(decide(&auth, "localhost", NULL, longer), AUTH_WRONG_TOKEN);
	assert_int_equal(decide(&auth, "localhost", NULL, "Bearer "), AUTH_WRONG_TOKEN);
	assert_int_equal(decide(&auth, "localhost", NULL, ""), AUTH_WRONG_TOKEN);
	/* A server without a token lets nobody in. */
	auth.has_token = false;
	assert_int_equal(decide(&auth, "localhost", NULL, good), AUTH_WRONG_TOKEN);
	free(good);
	free(longer);
	free(wrong);
	free(path);
}

static void a_token_that_others_may_read_is_refused(void **state)
{
	char *path = mem_printf("%s/token", directory);
	struct auth auth = {0};

	assert_int_equal(auth_make_token(path, NULL), 0);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(auth_load_token(&auth, path, NULL), -EACCES);
	assert_false(auth.has_token);
	free(path);
}

/* ---- merging and names ---- */

static void image_and_machine_are_merged_as_docker_does(void **state)
{
	static const char image[] =
		"{\"Entrypoint\": [\"/e\"], \"Cmd\": [\"c\"], \"Env\": [\"A=1\", "
		"\"PATH=/p\"], \"WorkingDir\": \"/w\", \"User\": \"u\", "
		"\"StopSignal\": \"SIGINT\"}";
	struct machine_config config;
	struct merged merged;

	machine_config_init(&config);
	assert_int_equal(merge(&config, image, &merged, NULL), 0);
	assert_int_equal(strv_length(merged.exec), 2);
	assert_string_equal(merged.exec[1], "c");
	assert_string_equal(strv_env_get(merged.env, "PATH"), "/p");
	assert_string_equal(merged.workdir, "/w");
	assert_string_equal(merged.user, "u");
	assert_string_equal(merged.stop_signal, "SIGINT");
	merged_done(&merged);

	strv_push(&config.args, "x");
	strv_push(&config.env, "A=2");
	assert_int_equal(merge(&config, image, &merged, NULL), 0);
	assert_string_equal(merged.exec[0], "/e");
	assert_string_equal(merged.exec[1], "x");
	assert_string_equal(strv_env_get(merged.env, "A"), "2");
	merged_done(&merged);

	/* Another program does not get the arguments of the one it replaces. */
	strv_free(config.args);
	config.args = NULL;
	config.exec_path = mem_strdup("/mine");
	assert_int_equal(merge(&config, image, &merged, NULL), 0);
	assert_int_equal(strv_length(merged.exec), 1);
	merged_done(&merged);
	assert_int_equal(merge(&config, NULL, &merged, NULL), 0);
	assert_true(strv_contains(merged.env, MERGE_PATH));
	assert_string_equal(merged.stop_signal, "SIGTERM");
	merged_done(&merged);
	machine_config_done(&config);
}

static void nothing_to_run_and_too_much_are_refused(void **state)
{
	struct machine_config config;
	struct merged merged;
	char *large = repeat("", 'x', LIMIT_PROCESS_BYTES, "");

	machine_config_init(&config);
	assert_int_equal(merge(&config, "{}", &merged, NULL), -EDOM);
	assert_int_equal(merge(&config, "[broken", &merged, NULL), -EDOM);
	assert_int_equal(merge(&config, "{\"Cmd\": [\"\"]}", &merged, NULL), -EDOM);
	assert_int_equal(merge(&config, "{\"Cmd\": 5, \"Env\": [1, \"=x\", \"y\"]}", &merged, NULL),
			 -EDOM);
	strv_push(&config.args, large);
	config.exec_path = mem_strdup("/x");
	assert_int_equal(merge(&config, NULL, &merged, NULL), -EDOM);
	machine_config_done(&config);
	free(large);
}

static void image_names_get_a_tag(void **state)
{
	static const char *const good[][2] = {
		{"web", "web:latest"},
		{"web:1", "web:1"},
		{"localhost:5000/team/web", "localhost:5000/team/web:latest"},
		{"localhost/web:v1.2_x-y", "localhost/web:v1.2_x-y"},
	};
	static const char *const bad[] = {"",   ":x",    "web:",     "a//b", "a b", "/a",
					  "a/", "a:b:c", "sha256:0", "ä",    "-a",  "a\n"};
	char name[IMAGE_NAME_BYTES_MAX + 1], *longest;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(image_name_normalise(good[i][0], name, NULL), 0);
		assert_string_equal(name, good[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(image_name_normalise(bad[i], name, NULL), -EINVAL);
	longest = repeat("", 'a', IMAGE_NAME_BYTES_MAX - 7, "");
	assert_int_equal(image_name_normalise(longest, name, NULL), 0);
	assert_int_equal(strlen(name), IMAGE_NAME_BYTES_MAX);
	free(longest);
	longest = repeat("", 'a', IMAGE_NAME_BYTES_MAX - 6, "");
	assert_int_equal(image_name_normalise(longest, name, NULL), -EINVAL);
	free(longest);
}

/* ---- the route table and the document ---- */

static json_t *find_operation(json_t *document, const struct route *route)
{
	json_t *path = json_object_get(json_object_get(document, "paths"), route->path);
	char method[16];
	size_t i;

	for (i = 0; http_method_name(route->method)[i] != '\0'; i++)
		method[i] = (char)(http_method_name(route->method)[i] | 0x20);
	method[i] = '\0';
	return json_object_get(path, method);
}

static void every_route_is_in_the_document(void **state)
{
	json_t *document = NULL;

	assert_int_equal(json_parse(openapi_json, openapi_json_length, &document, NULL), 0);
	for (size_t i = 0; i < route_count; i++) {
		json_t *operation = find_operation(document, &routes[i]);
		json_t *body = json_object_get(operation, "requestBody");
		bool optional = routes[i].body == ROUTE_BODY_JSON_OPTIONAL;

		assert_non_null(operation);
		assert_string_equal(json_string_value(json_object_get(operation, "operationId")),
				    routes[i].operation);
		assert_int_equal(body != NULL, routes[i].body != ROUTE_BODY_NONE);
		if (body != NULL)
			assert_int_equal(json_is_true(json_object_get(body, "required")),
					 !optional);
	}
	json_decref(document);
}

static void every_operation_of_the_document_is_a_route(void **state)
{
	json_t *document = NULL, *item, *operation;
	const char *path, *method;
	size_t operations = 0;

	assert_int_equal(json_parse(openapi_json, openapi_json_length, &document, NULL), 0);
	json_object_foreach(json_object_get(document, "paths"), path, item) {
		json_object_foreach(item, method, operation)
			operations += strcmp(method, "parameters") != 0;
	}
	assert_int_equal(operations, route_count);
	json_decref(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_parsed),
		cmocka_unit_test(loopback_is_two_sockets),
		cmocka_unit_test(hosts_that_are_ours),
		cmocka_unit_test(requests_are_read_in_any_pieces),
		cmocka_unit_test(chunked_bodies_are_put_together),
		cmocka_unit_test(methods_are_told_apart),
		cmocka_unit_test(upgrades_are_only_asked_for),
		cmocka_unit_test(what_smuggles_is_refused),
		cmocka_unit_test(heads_have_limits),
		cmocka_unit_test(queries_are_split_and_decoded),
		cmocka_unit_test(a_field_may_take_any_bytes),
		cmocka_unit_test(queries_that_are_refused),
		cmocka_unit_test(seconds_become_milliseconds),
		cmocka_unit_test(paths_are_split),
		cmocka_unit_test_setup_teardown(the_token_decides, make_directory,
						remove_directory),
		cmocka_unit_test_setup_teardown(a_token_that_others_may_read_is_refused,
						make_directory, remove_directory),
		cmocka_unit_test(image_and_machine_are_merged_as_docker_does),
		cmocka_unit_test(nothing_to_run_and_too_much_are_refused),
		cmocka_unit_test(image_names_get_a_tag),
		cmocka_unit_test(every_route_is_in_the_document),
		cmocka_unit_test(every_operation_of_the_document_is_a_route),
	};

	return cmocka_run_group_tests_name("api-http", tests, NULL, NULL);
}
