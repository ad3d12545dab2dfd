/* SPDX-License-Identifier: Apache-2.0 */
/* One program under two names: krun-run, and krunctl with a command as its first operand. */
#include <string.h>

#include "base/macro.h"
#include "cli.h"

static const struct command commands[] = {
	{"ps", "list machines", command_ps},
	{"inspect", "print everything about machines as JSON", command_inspect,
	 .operands = "machine..."},
	{"start", "start machines", command_start, .operands = "machine..."},
	{"stop", "stop machines", command_stop, .operands = "machine..."},
	{"restart", "stop machines and start them again", command_restart,
	 .operands = "machine..."},
	{"kill", "stop machines at once", command_kill, .operands = "machine..."},
	{"signal", "send a machine's workload a signal", command_signal,
	 .operands = "machine signal"},
	{"rm", "delete machines", command_rm, .operands = "machine..."},
	{"logs", "print what a machine's programs printed", command_logs, .operands = "machine"},
	{"exec", "run a command in a machine", command_exec, CLI_EXIT_RUN, "machine"},
	{"cp", "copy files between here and a machine", command_cp, .operands = "place place"},
	{"wait", "wait until machines have stopped", command_wait, .operands = "machine..."},
	{"events", "print what happens, as it happens", command_events, .operands = "machine"},
	{"stats", "show what running machines use", command_stats, .operands = "machine..."},
	{"run", "build and start a machine; the same as krun-run", command_run, CLI_EXIT_RUN,
	 "source"},
	{"images", "list images", command_images},
	{"import", "import an image's archive", command_import, .operands = "file"},
	{"rmi", "delete images", command_rmi, .operands = "image..."},
	{"volume", "look after volumes", .set = &volume_commands},
	{"info", "print what the server is and can do", command_info},
	{"doctor", "check what machines need here and say what to do", command_doctor},
	{"completion", "print a shell's completion of these commands", command_completion,
	 .operands = "shell"},
};

const struct command_set krunctl_commands = {
	.usage = "krunctl [--api URL] COMMAND [ARGUMENT]...",
	.about = "Looks after machines of krun-api.",
	.items = commands,
	.count = ARRAY_SIZE(commands),
};

const struct command run_command = {"krun-run", "build and start a machine", command_run,
				    CLI_EXIT_RUN, "source"};

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;

	name = name != NULL ? name + 1 : argc > 0 ? argv[0] : "";
	if (strcmp(name, "krun-run") == 0) {
		cli_program = "krun-run";
		return cli_run_command(&run_command, argv);
	}
	return cli_run_set(&krunctl_commands, argv);
}
