/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "progress.h"
#include "table.h"

struct cli_server cli_server;
const char *cli_program = "krunctl";
void (*cli_describe)(const struct opt_parser *parser);

int cli_connect(struct client **ret_client, struct err *err)
{
	struct endpoint endpoint = {0};
	int r;

	r = endpoint_find(&endpoint, cli_server.api, cli_server.token_file, err);
	if (r >= 0)
		r = client_new(&endpoint, ret_client, err);
	endpoint_done(&endpoint);
	return r;
}

int cli_parse(const struct opt_parser *parser, char **argv, size_t min,
	      struct cli_arguments *ret_arguments, struct err *err)
{
	struct cli_arguments arguments = {0};
	enum opt_outcome outcome;
	int r;

	if (cli_describe != NULL) {
		cli_describe(parser);
		return 0;
	}
	r = opt_parse(parser, argv, &arguments.operands, &arguments.dashes_at, &outcome, err);
	if (r < 0)
		return r;
	if (outcome == OPT_OUTCOME_DONE)
		return 0;
	arguments.count = strv_length(arguments.operands);
	if (arguments.count < min)
		return err_set(err, EINVAL, "something is missing: %s", parser->usage);
	*ret_arguments = arguments;
	return 1;
}

int cli_parse_one(const struct opt_parser *parser, char **argv, const char *what,
		  const char **ret_operand, struct err *err)
{
	struct cli_arguments arguments;
	int r;

	r = cli_parse(parser, argv, 1, &arguments, err);
	if (r <= 0)
		return r;
	if (arguments.count > 1)
		return err_set(err, EINVAL, "%s takes one %s at a time", argv[0], what);
	*ret_operand = arguments.operands[0];
	return r;
}

int cli_parse_alone(const struct opt_parser *parser, char **argv, struct err *err)
{
	struct cli_arguments arguments;
	int r;

	r = cli_parse(parser, argv, 0, &arguments, err);
	if (r > 0 && arguments.count > 0)
		return err_set(err, EINVAL, "%s takes no '%s'", argv[0], arguments.operands[0]);
	return r;
}

void cli_say_error(const struct err *err)
{
	cli_say("%s", err->text);
}

void cli_say(const char *fmt, ...)
{
	char text[2 * ERR_TEXT_BYTES_MAX];
	_cleanup_free_ char *clean = NULL;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	progress_make_room();
	/* A failed start's reason has lines of the guest's console: kept as lines. */
	for (char *line = text, *next; line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		clean = table_clean(line);
		fprintf(stderr, line == text ? "%s: %s\n" : "%.0s%s\n", cli_program, clean);
		free(take_ptr(clean));
	}
}

const char *cli_text(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

int64_t cli_time_ns(json_t *object, const char *name)
{
	int64_t ns;

	return clock_parse(cli_text(object, name), &ns) < 0 ? -1 : ns;
}

int cli_print_json(json_t *value, struct err *err)
{
	if (json_dumpf(value, stdout, JSON_INDENT(2)) < 0)
		return err_set(err, EIO, "standard output cannot be written");
	fputc('\n', stdout);
	return cli_flush(err);
}

int cli_flush(struct err *err)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_set(err, EIO, "standard output cannot be written");
	return 0;
}

int cli_for_each(const struct opt_parser *parser, char **argv, cli_each_fn *each, void *user,
		 struct err *err)
{
	_cleanup_client_ struct client *client = NULL;
	struct cli_arguments arguments;
	int code = CLI_EXIT_OK, r;

	r = cli_parse(parser, argv, 1, &arguments, err);
	if (r <= 0)
		return r;
	r = cli_connect(&client, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < arguments.count; i++) {
		struct err failure = {0};

		if (each(client, arguments.operands[i], user, &failure) < 0) {
			cli_say_error(&failure);
			code = CLI_EXIT_FAILED;
		}
	}
	return code;
}

int cli_list(const struct cli_listing *listing, bool json, bool quiet, struct err *err)
{
	struct client_request request = {.method = "GET", .path = listing->path};
	_cleanup_client_ struct client *client = NULL;
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_table_ struct table table = {0};
	json_t *items, *item;
	size_t i;
	int r;

	table_init(&table, listing->head);
	r = cli_connect(&client, err);
	if (r >= 0)
		r = client_json(client, &request, &answer, err);
	if (r < 0)
		return r;
	items = json_object_get(answer, listing->member);
	if (json)
		return cli_print_json(items, err);
	json_array_foreach(items, i, item) {
		if (quiet)
			printf("%s\n", cli_text(item, listing->key));
		else
			listing->add_row(&table, item);
	}
	if (!quiet)
		table_print(&table, stdout);
	return cli_flush(err);
}

int cli_read_time(const char *text, int64_t *ret_ns, struct err *err)
{
	static const struct {
		char name;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	const char *p = text;
	int64_t ago_s = 0;

	if (clock_parse(text, ret_ns) == 0)
		return 0;
	do {
		size_t digits = strspn(p, "0123456789"), i = 0;

		while (i < ARRAY_SIZE(units) && units[i].name != p[digits])
			i++;
		if (digits == 0 || digits > 9 || i == ARRAY_SIZE(units))
			return err_set(
				err, EINVAL,
				"a time is RFC 3339, seconds since 1970, or as in 1h30m: '%s'",
				text);
		ago_s += strtoll(p, NULL, 10) * units[i].seconds;
		p += digits + 1;
	} while (*p != '\0');
	*ret_ns = clock_realtime_ns() - ago_s * CLOCK_NS_PER_S;
	return 0;
}

/* ---- commands ---- */

int cli_run_command(const struct command *command, char **argv)
{
	struct err err = {0};
	int r;

	if (command->set != NULL)
		return cli_run_set(command->set, argv);
	r = command->run(argv, &err);
	if (r >= 0)
		return r;
	cli_say_error(&err);
	return command->failed_exit != 0 ? command->failed_exit : CLI_EXIT_FAILED;
}

static void print_commands(const struct command_set *set, FILE *out)
{
	fprintf(out, "\nCommands:\n");
	for (size_t i = 0; i < set->count; i++)
		fprintf(out, "  %-12s%s\n", set->items[i].name, set->items[i].summary);
	fprintf(out, "\n'COMMAND --help' says more about each.\n");
}

int cli_run_set(const struct command_set *set, char **argv)
{
	static const struct opt opts[] = {CLI_SERVER_OPTS, OPT_END};
	const struct opt_parser parser = {
		.usage = set->usage,
		.about = set->about,
		.opts = opts,
		.stop_at_operand = true,
	};
	bool asks_version = argv[0] != NULL && argv[1] != NULL && strcmp(argv[1], "--version") == 0;
	enum opt_outcome outcome;
	struct err err = {0};
	char **operands;

	if (opt_parse(&parser, argv, &operands, NULL, &outcome, &err) < 0) {
		cli_say_error(&err);
		return CLI_EXIT_FAILED;
	}
	if (outcome == OPT_OUTCOME_DONE) {
		if (!asks_version)
			print_commands(set, stdout);
		return CLI_EXIT_OK;
	}
	if (operands[0] == NULL) {
		opt_print_help(&parser, stderr);
		print_commands(set, stderr);
		return CLI_EXIT_FAILED;
	}
	for (size_t i = 0; i < set->count; i++) {
		if (strcmp(operands[0], set->items[i].name) == 0)
			return cli_run_command(&set->items[i], operands);
	}
	cli_say("there is no command '%s'; '--help' lists them", operands[0]);
	return CLI_EXIT_FAILED;
}
