/* SPDX-License-Identifier: Apache-2.0 */
/* For fish: one `complete` for each option and each kind of operand. */
#include <string.h>

#include "completion.h"

static const char head[] =
	"# Completion of krunctl and krun-run for fish, made by 'krunctl completion fish'.\n"
	"\n"
	"# Which server the line names.\n"
	"function __krunctl_server\n"
	"    set -l tokens (commandline -opc)\n"
	"    for i in (seq (count $tokens))\n"
	"        switch $tokens[$i]\n"
	"            case '--api=*' '--token-file=*'\n"
	"                echo $tokens[$i]\n"
	"            case --api --token-file\n"
	"                test $i -lt (count $tokens); and printf '%s\\n' $tokens[$i] "
	"$tokens[(math $i + 1)]\n"
	"        end\n"
	"    end\n"
	"end\n"
	"\n"
	"# Commands and operands of the line so far.\n"
	"function __krunctl_path\n"
	"    set -l path\n"
	"    set -l skip no\n"
	"    for token in (commandline -opc)[2..-1]\n"
	"        if test $skip = yes\n"
	"            set skip no\n"
	"        else if contains -- $token --api --token-file\n"
	"            set skip yes\n"
	"        else if not string match -q -- '-*' $token\n"
	"            set -a path $token\n"
	"        end\n"
	"    end\n"
	"    echo \"$path\"\n"
	"end\n"
	"\n"
	"function __krunctl_at\n"
	"    set -l path (__krunctl_path)\n"
	"    test \"$path\" = \"$argv\"; or string match -q -- \"$argv *\" \"$path\"\n"
	"end\n"
	"\n"
	"function __krunctl_before_command\n"
	"    test (__krunctl_path) = \"$argv\"\n"
	"end\n"
	"\n"
	"function __krunctl_machine\n"
	"    krunctl (__krunctl_server) ps -a 2>/dev/null | tail -n +2 | string replace -r ' .*' "
	"''\n"
	"end\n"
	"function __krunctl_image\n"
	"    krunctl (__krunctl_server) images 2>/dev/null | tail -n +2 | "
	"string replace -r ' .*' '' | string match -v -- -\n"
	"end\n"
	"function __krunctl_volume\n"
	"    krunctl (__krunctl_server) volume ls -q 2>/dev/null\n"
	"end\n"
	"function __krunctl_file\n"
	"    __fish_complete_path (commandline -ct)\n"
	"end\n"
	"function __krunctl_source\n"
	"    __krunctl_image\n"
	"    __krunctl_file\n"
	"end\n"
	"function __krunctl_store\n"
	"    __krunctl_volume\n"
	"    __krunctl_file\n"
	"end\n"
	"function __krunctl_place\n"
	"    __krunctl_machine | string replace -r '$' ':'\n"
	"    __krunctl_file\n"
	"end\n";

/* complete -c PROGRAM, and where in the line of krunctl. */
static void begin(const struct described *described, const char *condition, FILE *out)
{
	size_t length = strcspn(described->path, " ");
	const char *below = described->path + length + (described->path[length] == ' ');

	fprintf(out, "complete -c %.*s", (int)length, described->path);
	if (*below != '\0' || strcmp(condition, "__krunctl_before_command") == 0)
		fprintf(out, " -n '%s %s'", condition, *below != '\0' ? below : "\"\"");
}

static void print_option(const struct described *described, const struct opt *opt, FILE *out)
{
	const char *word = completion_value_word(opt);

	begin(described, "__krunctl_at", out);
	if (opt->short_name != 0)
		fprintf(out, " -s %c", opt->short_name);
	fprintf(out, " -l %s -d '", opt->long_name);
	completion_quote(out, opt->help, "'\\");
	fputs("'", out);
	if (opt->value_name != NULL)
		fputs(" -x", out);
	if (word != NULL)
		fprintf(out, " -a '(__krunctl_%s)'", word);
	fputs("\n", out);
}

static void print_operands(const struct described *described, FILE *out)
{
	const char *at = described->operands;

	/* Whichever it is: fish filters by what is typed. */
	while (*at != '\0') {
		size_t length = strcspn(at, " .");

		begin(described, "__krunctl_at", out);
		fputs(" -a '(__krunctl_", out);
		fwrite(at, 1, length, out);
		fputs(")'\n", out);
		at += strcspn(at, " ");
		at += *at == ' ';
	}
}

static void print_command(const struct described *described, FILE *out)
{
	fputs("\n", out);
	for (size_t i = 0; i < described->opt_count; i++)
		print_option(described, &described->opts[i], out);
	if (described->operands != NULL)
		print_operands(described, out);
	for (size_t i = 0; described->set != NULL && i < described->set->count; i++) {
		const struct command *command = &described->set->items[i];

		begin(described, "__krunctl_before_command", out);
		fprintf(out, " -a %s -d '", command->name);
		completion_quote(out, command->summary, "'\\");
		fputs("'\n", out);
	}
}

void completion_fish(const struct description *description, FILE *out)
{
	fputs(head, out);
	completion_print_lists(out, "function __krunctl_", "\n    printf '%s\\n'", "\nend\n");
	fputs("\ncomplete -c krunctl -f\ncomplete -c krun-run -f\n", out);
	for (size_t i = 0; i < description->count; i++)
		print_command(&description->items[i], out);
}
