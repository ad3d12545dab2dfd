/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "progress.h"
#include "table.h"

struct cli_server cli_server;
const char *cli_program = "krunctl";

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
