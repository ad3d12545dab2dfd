/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli.h"
#include "info.h"
#include "table.h"

#define INFO_TIMEOUT_MS 30000

int info_get(struct client *client, json_t **ret_info, struct err *err)
{
	struct client_request request = {.method = "GET",
					 .path = "/v1/info",
					 .timeout_ms = INFO_TIMEOUT_MS};

	return client_json(client, &request, ret_info, err);
}

static void print_backends(json_t *backends)
{
	json_t *backend;
	size_t i;

	json_array_foreach(backends, i, backend) {
		bool usable = json_is_true(json_object_get(backend, "usable"));
		_cleanup_free_ char *reason = table_clean(cli_text(backend, "reason"));

		printf("backend %-18s%s%s%s\n", cli_text(backend, "name"),
		       usable ? "usable" : "not usable", *reason != '\0' ? ": " : "", reason);
	}
}

/* Whatever else a server says of itself that is one value, under its own name. */
static void print_values(json_t *object, const char *prefix)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		_cleanup_free_ char *label = mem_printf("%s%s", prefix, name);
		_cleanup_free_ char *text = NULL;

		if (json_is_string(value))
			text = table_clean(json_string_value(value));
		else if (json_is_object(value)) {
			print_values(value, "");
			continue;
		} else if (!json_is_array(value))
			text = json_dumps(value, JSON_ENCODE_ANY);
		if (text != NULL)
			printf("%-26s%s\n", label, text);
	}
}

static int print_info(bool json, struct err *err)
{
	_cleanup_client_ struct client *client = NULL;
	_cleanup_json_ json_t *info = NULL;
	int r;

	r = cli_connect(&client, err);
	if (r >= 0)
		r = info_get(client, &info, err);
	if (r < 0)
		return r;
	if (json)
		return cli_print_json(info, err);
	printf("%-26s%s\n", "server", client_name(client));
	print_values(info, "");
	print_backends(json_object_get(info, "backends"));
	return cli_flush(err);
}

int command_info(char **argv, struct err *err)
{
	bool json = false;
	const struct opt opts[] = {
		{0, "json", OPT_TYPE_FLAG, &json, NULL, "as JSON"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl info [OPTION]...",
		.about = "Prints what the server is, what it can run on and what its limits are.",
		.opts = opts,
	};
	int r;

	r = cli_parse_alone(&parser, argv, err);
	return r <= 0 ? r : print_info(json, err);
}
