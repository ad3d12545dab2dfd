/* SPDX-License-Identifier: Apache-2.0 */
#include "machines.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "cli.h"

#define QUERY_BYTES_MAX (256 * 1024)
#define BODY_BYTES_MAX  4096
/* Sixty-four of the longest fit. */
#define PORTS_BYTES_MAX 8192
/* What the server may take to answer beyond what it was told to wait. */
#define ANSWER_SLACK_S 15
/* A server that keeps giving pages is not one. */
#define PAGES_MAX 10000

static char *list_path(const char *state, char *const *labels, const char *cursor)
{
	_cleanup_buf_ struct buf path = {0};
	const char *separator = "?";

	buf_init(&path, QUERY_BYTES_MAX);
	(void)!buf_append_string(&path, "/v1/machines");
	if (state != NULL) {
		_cleanup_free_ char *part = client_path("state=%s", state);

		(void)!buf_printf(&path, "%s%s", separator, part);
		separator = "&";
	}
	for (size_t i = 0; labels != NULL && labels[i] != NULL; i++) {
		_cleanup_free_ char *part = client_path("label=%s", labels[i]);

		(void)!buf_printf(&path, "%s%s", separator, part);
		separator = "&";
	}
	if (cursor != NULL) {
		_cleanup_free_ char *part = client_path("cursor=%s", cursor);

		(void)!buf_printf(&path, "%s%s", separator, part);
	}
	return buf_take_string(&path);
}

int machines_list(struct client *client, const char *state, char *const *labels, json_t *machines,
		  struct err *err)
{
	_cleanup_free_ char *cursor = NULL;
	int r;

	for (size_t page = 0; page < PAGES_MAX; page++) {
		_cleanup_free_ char *path = list_path(state, labels, cursor);
		struct client_request request = {.method = "GET", .path = path};
		_cleanup_json_ json_t *answer = NULL;

		r = client_json(client, &request, &answer, err);
		if (r < 0)
			return r;
		json_array_extend(machines, json_object_get(answer, "machines"));
		mem_replace(&cursor, json_string_value(json_object_get(answer, "next_cursor")));
		if (cursor == NULL)
			return 0;
	}
	return err_set(err, E2BIG, "%s has no end of machines", client_name(client));
}

int machines_get(struct client *client, const char *name, json_t **ret_machine, struct err *err)
{
	_cleanup_free_ char *path = client_path("/v1/machines/%s", name);
	struct client_request request = {.method = "GET", .path = path};

	return client_json(client, &request, ret_machine, err);
}

char *machines_stop_body(const struct machines_stop *stop)
{
	_cleanup_buf_ struct buf body = {0};
	struct jsonw w;

	buf_init(&body, BODY_BYTES_MAX);
	jsonw_init(&w, &body);
	jsonw_object_begin(&w, NULL);
	if (stop->signal != NULL)
		jsonw_string(&w, "signal", stop->signal);
	if (stop->timeout_s >= 0)
		jsonw_int(&w, "timeout_s", stop->timeout_s);
	jsonw_object_end(&w);
	(void)!jsonw_finish(&w);
	return buf_take_string(&body);
}

int machines_stop_timeout(struct client *client, const char *name, const struct machines_stop *stop,
			  int64_t *ret_timeout_ms, struct err *err)
{
	_cleanup_json_ json_t *machine = NULL;
	long long timeout_s = stop->timeout_s;
	json_t *own;
	int r;

	if (timeout_s < 0) {
		r = machines_get(client, name, &machine, err);
		if (r < 0)
			return r;
		own = json_object_get(json_object_get(machine, "config"), "stop");
		timeout_s = json_integer_value(json_object_get(own, "timeout_s"));
	}
	*ret_timeout_ms = (timeout_s + MACHINES_STOP_SLACK_S) * 1000;
	return 0;
}

int machines_stop(struct client *client, const char *name, const struct machines_stop *stop,
		  struct progress *progress, struct err *err)
{
	_cleanup_free_ char *path = client_path("/v1/machines/%s/stop", name);
	_cleanup_free_ char *body = machines_stop_body(stop);
	struct client_request request = {
		.method = "POST",
		.path = path,
		.body = body,
		.body_length = strlen(body),
	};
	int r;

	r = machines_stop_timeout(client, name, stop, &request.timeout_ms, err);
	return r < 0 ? r : progress_do(progress, client, &request, NULL, err);
}

int machines_remove(struct client *client, const char *name, bool force, struct err *err)
{
	_cleanup_free_ char *path =
		client_path(force ? "/v1/machines/%s?force=true" : "/v1/machines/%s", name);
	struct client_request request = {.method = "DELETE", .path = path, .timeout_ms = 60000};

	return client_do(client, &request, NULL, err);
}

int machines_await_end(struct client *client, const char *name, long long timeout_s,
		       json_t **ret_machine, struct err *err)
{
	_cleanup_free_ char *seconds = mem_printf("%lld", timeout_s);
	_cleanup_free_ char *path =
		client_path("/v1/machines/%s/wait?state=stopped&timeout=%s", name, seconds);
	struct client_request request = {
		.method = "GET",
		.path = path,
		.timeout_ms = (timeout_s + ANSWER_SLACK_S) * 1000,
	};
	int r;

	r = client_json(client, &request, ret_machine, err);
	/* One that has failed will never have stopped, which is a conflict to the server. */
	return r == -EBUSY ? machines_get(client, name, ret_machine, err) : r;
}

int machines_exit_code(json_t *machine)
{
	json_t *exit = json_object_get(machine, "exit");
	long long signal = json_integer_value(json_object_get(exit, "signal"));
	json_t *code = json_object_get(exit, "code");

	if (signal > 0)
		return 128 + (int)signal;
	if (!json_is_integer(code))
		return CLI_EXIT_RUN;
	return (int)(json_integer_value(code) & 0xff);
}

char *machines_ports_text(json_t *machine)
{
	json_t *ports = json_object_get(machine, "ports");
	_cleanup_buf_ struct buf text = {0};
	json_t *port;
	size_t i;

	buf_init(&text, PORTS_BYTES_MAX);
	if (json_array_size(ports) == 0)
		ports = json_object_get(json_object_get(machine, "config"), "ports");
	json_array_foreach(ports, i, port) {
		bool brackets = strchr(cli_text(port, "host_ip"), ':') != NULL;

		(void)!buf_printf(&text, "%s%s%s%s:%lld->%lld/%s", i > 0 ? ", " : "",
				  brackets ? "[" : "", cli_text(port, "host_ip"),
				  brackets ? "]" : "",
				  (long long)json_integer_value(json_object_get(port, "host_port")),
				  (long long)json_integer_value(
					  json_object_get(port, "guest_port")),
				  cli_text(port, "protocol"));
	}
	return text.length > 0 ? buf_take_string(&text) : NULL;
}
