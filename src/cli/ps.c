/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli.h"
#include "machine/state.h"
#include "machines.h"
#include "table.h"

/* The first 48 bits of an id, its time in milliseconds: what is typed is a name anyhow. */
#define ID_SHOWN_CHARS 13

struct ps {
	bool all, quiet, json;
	const char *state;
	char **labels;
};

static bool is_shown(const struct ps *ps, json_t *machine)
{
	enum machine_state state;

	if (ps->all || ps->state != NULL)
		return true;
	return machine_state_parse(cli_text(machine, "state"), &state) == 0 &&
	       machine_state_is_live(state);
}

/* "running for 5 minutes", "stopped (7) 2 hours ago". */
static char *status_text(json_t *machine)
{
	const char *state = cli_text(machine, "state");
	json_t *code = json_object_get(json_object_get(machine, "exit"), "code");
	int64_t since, now = clock_realtime_ns();
	_cleanup_free_ char *age = NULL;

	if (strcmp(state, "running") == 0) {
		since = cli_time_ns(machine, "ready_at");
		age = table_age(now - since);
		return since < 0 ? mem_strdup(state) : mem_printf("running for %s", age);
	}
	since = cli_time_ns(machine, "finished_at");
	if (since < 0)
		return mem_strdup(state);
	age = table_age(now - since);
	if (json_is_integer(code))
		return mem_printf("%s (%lld) %s ago", state, (long long)json_integer_value(code),
				  age);
	return mem_printf("%s %s ago", state, age);
}

static void add_row(struct table *table, json_t *machine)
{
	json_t *config = json_object_get(machine, "config");
	const char *root = cli_text(config, "image");
	_cleanup_free_ char *id = mem_printf("%.*s", ID_SHOWN_CHARS, cli_text(machine, "id"));
	_cleanup_free_ char *status = status_text(machine);
	_cleanup_free_ char *ports = machines_ports_text(machine);
	const char *cells[] = {cli_text(machine, "name"), id,
			       *root != '\0' ? root : cli_text(config, "rootfs_path"), status,
			       ports};

	table_add(table, cells);
}

static int print_machines(const struct ps *ps, json_t *machines, struct err *err)
{
	static const char *const head[] = {"NAME", "ID", "IMAGE", "STATUS", "PORTS", NULL};
	_cleanup_table_ struct table table = {0};
	json_t *machine;
	size_t i;

	if (ps->json)
		return cli_print_json(machines, err);
	table_init(&table, head);
	json_array_foreach(machines, i, machine) {
		if (ps->quiet)
			printf("%s\n", cli_text(machine, "id"));
		else
			add_row(&table, machine);
	}
	if (!ps->quiet)
		table_print(&table, stdout);
	return cli_flush(err);
}

static int list(const struct ps *ps, struct err *err)
{
	_cleanup_client_ struct client *client = NULL;
	_cleanup_json_ json_t *machines = json_array();
	_cleanup_json_ json_t *shown = json_array();
	json_t *machine;
	size_t i;
	int r;

	r = cli_connect(&client, err);
	if (r >= 0)
		r = machines_list(client, ps->state, ps->labels, machines, err);
	if (r < 0)
		return r;
	json_array_foreach(machines, i, machine) {
		if (is_shown(ps, machine))
			json_array_append(shown, machine);
	}
	return print_machines(ps, shown, err);
}

int command_ps(char **argv, struct err *err)
{
	struct ps ps = {0};
	const struct opt opts[] = {
		{'a', "all", OPT_TYPE_FLAG, &ps.all, NULL, "those that do not run, too"},
		{'q', "quiet", OPT_TYPE_FLAG, &ps.quiet, NULL, "only the ids"},
		{0, "json", OPT_TYPE_FLAG, &ps.json, NULL, "as JSON"},
		{0, "state", OPT_TYPE_STRING, &ps.state, "STATE", "only those in this state"},
		{'l', "label", OPT_TYPE_STRV, &ps.labels, "K[=V]", "only those with this label"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl ps [OPTION]...",
		.about = "Lists machines, newest first.",
		.opts = opts,
	};
	int r;

	r = cli_parse_alone(&parser, argv, err);
	if (r > 0)
		r = list(&ps, err);
	strv_free(ps.labels);
	return r < 0 ? r : CLI_EXIT_OK;
}
