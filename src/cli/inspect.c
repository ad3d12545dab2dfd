/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "machines.h"

static int print_one(struct client *client, const char *name, void *user, struct err *err)
{
	_cleanup_json_ json_t *machine = NULL;
	int r;

	r = machines_get(client, name, &machine, err);
	if (r < 0)
		return r;
	return cli_print_json(machine, err);
}

int command_inspect(char **argv, struct err *err)
{
	static const struct opt opts[] = {CLI_SERVER_OPTS, OPT_END};
	static const struct opt_parser parser = {
		.usage = "krunctl inspect MACHINE...",
		.about = "Prints what the server knows of machines: one JSON object each.",
		.opts = opts,
	};

	return cli_for_each(&parser, argv, print_one, NULL, err);
}
