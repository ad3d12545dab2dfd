/* SPDX-License-Identifier: Apache-2.0 */
/* For zsh: what _arguments takes, per command. */
#include <string.h>

#include "completion.h"

static const char head[] =
	"#compdef krunctl krun-run\n"
	"# Completion of krunctl and krun-run for zsh, made by 'krunctl completion zsh'.\n"
	"\n"
	"_krunctl_add()\n"
	"{\n"
	"	local -a names\n"
	"	names=(${(f)\"$(krunctl $_krunctl_server \"$@\" 2>/dev/null)\"})\n"
	"	[[ $1 == volume ]] || names=(${${names[2,-1]}%% *})\n"
	"	compadd -a names\n"
	"}\n"
	"_krunctl_machine() { _krunctl_add ps -a }\n"
	"_krunctl_image() { _krunctl_add images }\n"
	"_krunctl_volume() { _krunctl_add volume ls -q }\n"
	"_krunctl_file() { _files }\n"
	"_krunctl_source() { _alternative 'images:image:_krunctl_image' 'files:path:_files' }\n"
	"_krunctl_store() { _alternative 'volumes:volume:_krunctl_volume' 'files:path:_files' }\n"
	"_krunctl_place() { _alternative 'machines:machine:_krunctl_machine -S :' "
	"'files:path:_files' }\n";

static const char tail[] =
	"\n"
	"_krunctl()\n"
	"{\n"
	"	local -a _krunctl_server\n"
	"	local i\n"
	"	for ((i = 2; i < CURRENT; i++)); do\n"
	"		case $words[i] in\n"
	"		--api=* | --token-file=*) _krunctl_server+=($words[i]) ;;\n"
	"		--api | --token-file) _krunctl_server+=($words[i] $words[i+1]) ;;\n"
	"		esac\n"
	"	done\n"
	"	_krunctl_at ${service:-krunctl}\n"
	"}\n"
	"\n"
	"if [[ $funcstack[1] == _krunctl ]]; then\n"
	"	_krunctl \"$@\"\n"
	"else\n"
	"	compdef _krunctl krunctl krun-run\n"
	"fi\n";

/* '(-a --all)'{-a,--all}'[help]', '*'{-l+,--label=}'[help]:K=V:' */
static void print_option(const struct opt *opt, FILE *out)
{
	const char *word = completion_value_word(opt);
	bool has_value = opt->value_name != NULL;

	fputs(" \\\n			", out);
	if (opt->type == OPT_TYPE_STRV && has_value)
		fputs("'*'", out);
	else if (opt->short_name != 0)
		fprintf(out, "'(-%c --%s)'", opt->short_name, opt->long_name);
	if (opt->short_name != 0)
		fprintf(out, "{-%c%s,--%s%s}", opt->short_name, has_value ? "+" : "",
			opt->long_name, has_value ? "=" : "");
	else
		fprintf(out, "--%s%s", opt->long_name, has_value ? "=" : "");
	fputs("'[", out);
	completion_quote(out, opt->help, "[]\\");
	fputs("]", out);
	if (has_value) {
		fputs(":", out);
		completion_quote(out, opt->value_name, ":\\");
		fprintf(out, ":%s%s", word != NULL ? "_krunctl_" : "", word != NULL ? word : "");
	}
	fputs("'", out);
}

static void print_operands(const char *operands, FILE *out)
{
	for (unsigned number = 1; *operands != '\0'; number++) {
		size_t length = strcspn(operands, " ");
		bool again = length > 3 && memcmp(operands + length - 3, "...", 3) == 0;
		int word = (int)(again ? length - 3 : length);

		if (again)
			fprintf(out, " \\\n			'*:%.*s:_krunctl_%.*s'", word,
				operands, word, operands);
		else
			fprintf(out, " \\\n			'%u:%.*s:_krunctl_%.*s'", number,
				word, operands, word, operands);
		operands += length + (operands[length] == ' ');
	}
}

static void print_set(const struct command_set *set, FILE *out)
{
	fputs(" \\\n			'1:command:((", out);
	for (size_t i = 0; i < set->count; i++) {
		fprintf(out, "%s%s\\:\"", i > 0 ? " " : "", set->items[i].name);
		completion_quote(out, set->items[i].summary, ":\"\\$`");
		fputs("\"", out);
	}
	fputs("))' \\\n			'*::argument:->rest'\n", out);
	fputs("		[[ $state == rest ]] && _krunctl_at \"$1 $words[1]\"\n", out);
}

static void print_command(const struct described *described, FILE *out)
{
	fprintf(out, "	'%s')\n		_arguments -C -s -S", described->path);
	for (size_t i = 0; i < described->opt_count; i++)
		print_option(&described->opts[i], out);
	if (described->set != NULL) {
		print_set(described->set, out);
	} else {
		if (described->operands != NULL)
			print_operands(described->operands, out);
		fputs("\n", out);
	}
	fputs("		;;\n", out);
}

void completion_zsh(const struct description *description, FILE *out)
{
	fputs(head, out);
	completion_print_lists(out, "_krunctl_", "() { compadd", " }\n");
	fputs("\n_krunctl_at()\n{\n	local state line\n	typeset -A opt_args\n	case $1 "
	      "in\n",
	      out);
	for (size_t i = 0; i < description->count; i++)
		print_command(&description->items[i], out);
	fputs("	esac\n}\n", out);
	fputs(tail, out);
}
