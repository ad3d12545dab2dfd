/* SPDX-License-Identifier: Apache-2.0 */
/* volume ls, create, rm, inspect: disks with a name that outlive machines. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "cli.h"
#include "table.h"
#include "wire/limits.h"

#define BODY_BYTES_MAX    4096
#define CREATE_TIMEOUT_MS 60000
#define SIZE_MIB_DEFAULT  4096

/* ---- ls ---- */

/* Names of the machines that have it, on the heap; NULL: none. */
static char *machines_text(json_t *volume)
{
	_cleanup_buf_ struct buf text = {0};
	json_t *machine;
	size_t i;

	buf_init(&text, BODY_BYTES_MAX);
	json_array_foreach(json_object_get(volume, "machines"), i, machine) {
		const char *name = json_is_object(machine) ? cli_text(machine, "name")
							   : json_string_value(machine);

		if (buf_printf(&text, "%s%s", i > 0 ? ", " : "", name != NULL ? name : "-") < 0)
			break;
	}
	return text.length > 0 ? buf_take_string(&text) : NULL;
}

static void add_row(struct table *table, json_t *volume)
{
	long long mib = json_integer_value(json_object_get(volume, "size_mib"));
	_cleanup_free_ char *size = table_size((uint64_t)MAX(mib, 0LL) * 1024 * 1024);
	int64_t created = cli_time_ns(volume, "created_at");
	_cleanup_free_ char *age = created >= 0 ? table_age(clock_realtime_ns() - created) : NULL;
	_cleanup_free_ char *ago = age != NULL ? mem_printf("%s ago", age) : NULL;
	_cleanup_free_ char *machines = machines_text(volume);
	const char *cells[] = {cli_text(volume, "name"), size, ago, machines};

	table_add(table, cells);
}

static const char *const head[] = {"NAME", "SIZE", "CREATED", "MACHINES", NULL};

static const struct cli_listing listing = {.path = "/v1/volumes",
					   .member = "volumes",
					   .key = "name",
					   .head = head,
					   .add_row = add_row};

static int volume_ls(char **argv, struct err *err)
{
	bool json = false, quiet = false;
	const struct opt opts[] = {
		{'q', "quiet", OPT_TYPE_FLAG, &quiet, NULL, "only the names"},
		{0, "json", OPT_TYPE_FLAG, &json, NULL, "as JSON"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl volume ls [OPTION]...",
		.about = "Lists volumes and the machines that have them.",
		.opts = opts,
	};
	int r;

	r = cli_parse_alone(&parser, argv, err);
	return r <= 0 ? r : cli_list(&listing, json, quiet, err);
}

/* ---- create ---- */

static int create_one(struct client *client, const char *name, void *user, struct err *err)
{
	const long long *size_mib = user;
	_cleanup_json_ json_t *volume = NULL;
	_cleanup_buf_ struct buf body = {0};
	struct jsonw w;
	int r;

	buf_init(&body, BODY_BYTES_MAX);
	jsonw_init(&w, &body);
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "name", name);
	jsonw_int(&w, "size_mib", *size_mib);
	jsonw_object_end(&w);
	if (jsonw_finish(&w) < 0)
		return err_set(err, E2BIG, "no volume can have so long a name");
	r = client_json(client,
			&(struct client_request){
				.method = "POST",
				.path = "/v1/volumes",
				.body = body.data,
				.body_length = body.length,
				.timeout_ms = CREATE_TIMEOUT_MS,
			},
			&volume, err);
	if (r < 0)
		return r;
	printf("%s\n", cli_text(volume, "name"));
	return cli_flush(err);
}

static int volume_create(char **argv, struct err *err)
{
	long long size_mib = SIZE_MIB_DEFAULT;
	const struct opt opts[] = {
		{'s', "size", OPT_TYPE_INT, &size_mib, "MIB",
		 "how much it can hold; takes only what is used (4096)", LIMIT_DISK_MIB_MIN,
		 LIMIT_DISK_MIB_MAX},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl volume create [OPTION]... NAME...",
		.about = "Makes volumes. 'krun-run -v NAME:PATH' makes those that are not there.",
		.opts = opts,
	};

	return cli_for_each(&parser, argv, create_one, &size_mib, err);
}

/* ---- rm, inspect ---- */

static int remove_one(struct client *client, const char *name, void *user, struct err *err)
{
	_cleanup_free_ char *path = client_path("/v1/volumes/%s", name);
	struct client_request request = {.method = "DELETE", .path = path};
	int r;

	r = client_do(client, &request, NULL, err);
	if (r < 0)
		return r;
	printf("%s\n", name);
	return cli_flush(err);
}

static int volume_rm(char **argv, struct err *err)
{
	static const struct opt opts[] = {CLI_SERVER_OPTS, OPT_END};
	static const struct opt_parser parser = {
		.usage = "krunctl volume rm VOLUME...",
		.about = "Deletes volumes, with what is on them, that no machine has.",
		.opts = opts,
	};

	return cli_for_each(&parser, argv, remove_one, NULL, err);
}

static int print_one(struct client *client, const char *name, void *user, struct err *err)
{
	_cleanup_free_ char *path = client_path("/v1/volumes/%s", name);
	struct client_request request = {.method = "GET", .path = path};
	_cleanup_json_ json_t *volume = NULL;
	int r;

	r = client_json(client, &request, &volume, err);
	return r < 0 ? r : cli_print_json(volume, err);
}

static int volume_inspect(char **argv, struct err *err)
{
	static const struct opt opts[] = {CLI_SERVER_OPTS, OPT_END};
	static const struct opt_parser parser = {
		.usage = "krunctl volume inspect VOLUME...",
		.about = "Prints what the server knows of volumes: one JSON object each.",
		.opts = opts,
	};

	return cli_for_each(&parser, argv, print_one, NULL, err);
}

static const struct command commands[] = {
	{"ls", "list volumes", volume_ls},
	{"create", "make volumes", volume_create},
	{"rm", "delete volumes", volume_rm, .operands = "volume..."},
	{"inspect", "print everything about volumes as JSON", volume_inspect,
	 .operands = "volume..."},
};

const struct command_set volume_commands = {
	.usage = "krunctl volume COMMAND [ARGUMENT]...",
	.about = "Looks after volumes: disks with a name that outlive machines.",
	.items = commands,
	.count = ARRAY_SIZE(commands),
};
