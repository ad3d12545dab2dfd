/* SPDX-License-Identifier: Apache-2.0 */
/* One program under two names: krun-run, and krunctl with a command as its first operand. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/macro.h"
#include "cli.h"

static const struct command commands[] = {
	{"ps", "list machines", command_ps},
	{"inspect", "print everything about machines as JSON", command_inspect},
	{"start", "start machines", command_start},
	{"stop", "stop machines", command_stop},
	{"rm", "delete machines", command_rm},
	{"logs", "print what a machine's programs printed", command_logs},
	{"exec", "run a command in a machine", command_exec, CLI_EXIT_RUN},
	{"wait", "wait until machines have stopped", command_wait},
	{"run", "build and start a machine; the same as krun-run", command_run, CLI_EXIT_RUN},
	{"images", "list images", command_images},
	{"import", "import an image's archive", command_import},
	{"rmi", "delete images", command_rmi},
	{"info", "print what the server is and can do", command_info},
	{"doctor", "check what machines need here and say what to do", command_doctor},
};

static int finish(const struct command *command, char **argv)
{
	struct err err = {0};
	int r = command->run(argv, &err);

	if (r >= 0)
		return r;
	cli_say_error(&err);
	return command->failed_exit != 0 ? command->failed_exit : CLI_EXIT_FAILED;
}

static void print_commands(FILE *out)
{
	fprintf(out, "\nCommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s%s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n'krunctl COMMAND --help' says more about each.\n");
}

static int run_krunctl(char **argv)
{
	static const struct opt opts[] = {CLI_SERVER_OPTS, OPT_END};
	static const struct opt_parser parser = {
		.usage = "krunctl [--api URL] COMMAND [ARGUMENT]...",
		.about = "Looks after machines of krun-api.",
		.opts = opts,
		.stop_at_operand = true,
	};
	enum opt_outcome outcome;
	struct err err = {0};
	char **operands;

	if (opt_parse(&parser, argv, &operands, NULL, &outcome, &err) < 0) {
		cli_say_error(&err);
		return CLI_EXIT_FAILED;
	}
	if (outcome == OPT_OUTCOME_DONE) {
		if (argv[1] != NULL && strcmp(argv[1], "--version") != 0)
			print_commands(stdout);
		return CLI_EXIT_OK;
	}
	if (operands[0] == NULL) {
		opt_print_help(&parser, stderr);
		print_commands(stderr);
		return CLI_EXIT_FAILED;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(operands[0], commands[i].name) == 0)
			return finish(&commands[i], operands);
	}
	cli_say("there is no command '%s'; 'krunctl --help' lists them", operands[0]);
	return CLI_EXIT_FAILED;
}

int main(int argc, char **argv)
{
	static const struct command run = {"krun-run", "", command_run, CLI_EXIT_RUN};
	const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;

	name = name != NULL ? name + 1 : argc > 0 ? argv[0] : "";
	if (strcmp(name, "krun-run") == 0) {
		cli_program = "krun-run";
		return finish(&run, argv);
	}
	return run_krunctl(argv);
}
