/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For bash from 3.2 on, which macOS has. The line is split here and not taken from COMP_WORDS,
 * because bash splits those at the ':' of image names and the '=' of options.
 */

#include "completion.h"

static const char words_head[] =
	"# Completion of krunctl and krun-run for bash, made by 'krunctl completion bash'.\n"
	"\n"
	"_krunctl_words()\n"
	"{\n"
	"	case $1 in\n"
	"	machine) krunctl \"${server[@]}\" ps -a 2>/dev/null | sed 1d | cut -d ' ' -f 1 ;;\n"
	"	image) krunctl \"${server[@]}\" images 2>/dev/null | sed 1d | cut -d ' ' -f 1 | "
	"grep -vx -e - ;;\n"
	"	volume) krunctl \"${server[@]}\" volume ls -q 2>/dev/null ;;\n"
	"	file) compgen -f -- \"$value\" ;;\n"
	"	source)\n"
	"		_krunctl_words image\n"
	"		_krunctl_words file\n"
	"		;;\n"
	"	store)\n"
	"		_krunctl_words volume\n"
	"		_krunctl_words file\n"
	"		;;\n"
	"	place)\n"
	"		_krunctl_words machine | sed 's/$/:/'\n"
	"		_krunctl_words file\n"
	"		;;\n";

static const char words_tail[] = "	esac\n"
				 "}\n"
				 "\n"
				 "_krunctl_spec()\n"
				 "{\n"
				 "	options= values= operands=() commands=\n"
				 "	case $1 in\n";

static const char body[] =
	"	esac\n"
	"}\n"
	"\n"
	"# The word that the value of option $1 is.\n"
	"_krunctl_value()\n"
	"{\n"
	"	local rest=\" $values\"\n"
	"	rest=${rest#*\" $1=\"}\n"
	"	kind=${rest%%' '*}\n"
	"}\n"
	"\n"
	"_krunctl()\n"
	"{\n"
	"	local line=${COMP_LINE:0:COMP_POINT} words server=() options values operands "
	"commands\n"
	"	local path cur value kind= candidate word breaks count=0 last i\n"
	"\n"
	"	COMPREPLY=()\n"
	"	read -ra words <<<\"$line\"\n"
	"	[[ $line == *[[:blank:]] ]] && words+=('')\n"
	"	last=$((${#words[@]} - 1))\n"
	"	cur=${words[last]} value=$cur\n"
	"	path=${words[0]##*/}\n"
	"	_krunctl_spec \"$path\"\n"
	"	for ((i = 1; i < last; i++)); do\n"
	"		word=${words[i]}\n"
	"		case $word in\n"
	"		--) return ;;\n"
	"		--api=* | --token-file=*) server+=(\"$word\") ;;\n"
	"		-*)\n"
	"			[[ \" $values\" == *\" $word=\"* ]] || continue\n"
	"			((++i == last)) && _krunctl_value \"$word\" && kind=${kind:-none}\n"
	"			[[ $word == --api || $word == --token-file ]] && "
	"server+=(\"$word\" \"${words[i]}\")\n"
	"			;;\n"
	"		*)\n"
	"			if [[ -n $commands ]]; then\n"
	"				path+=\" $word\"\n"
	"				_krunctl_spec \"$path\"\n"
	"			else\n"
	"				((count++))\n"
	"			fi\n"
	"			;;\n"
	"		esac\n"
	"	done\n"
	"	if [[ -z $kind && $cur == --*=* ]]; then\n"
	"		value=${cur#*=}\n"
	"		[[ \" $values\" == *\" ${cur%%=*}=\"* ]] && _krunctl_value \"${cur%%=*}\"\n"
	"		kind=${kind:-none}\n"
	"	fi\n"
	"	if [[ -z $kind && $cur != -* && -z $commands && ${#operands[@]} -gt 0 ]]; then\n"
	"		i=$((${#operands[@]} - 1))\n"
	"		((count < i)) && i=$count\n"
	"		kind=${operands[i]}\n"
	"		((count > i)) && [[ $kind != *... ]] && kind=none\n"
	"	fi\n"
	"	kind=${kind%...}\n"
	"	[[ $kind == file || $kind == source || $kind == store || $kind == place ]] && "
	"compopt -o filenames "
	"2>/dev/null\n"
	"	while read -r candidate; do\n"
	"		[[ -n $candidate && $candidate == \"$value\"* ]] && "
	"COMPREPLY+=(\"$candidate\")\n"
	"	done < <(\n"
	"		if [[ -n $kind ]]; then\n"
	"			_krunctl_words \"$kind\"\n"
	"		elif [[ $cur == -* ]]; then\n"
	"			printf '%s\\n' $options\n"
	"		else\n"
	"			printf '%s\\n' $commands\n"
	"		fi\n"
	"	)\n"
	"	# What is before the last of these characters, bash holds for another word.\n"
	"	breaks=${COMP_WORDBREAKS//[^:=]/}\n"
	"	if [[ -n $breaks && $value == *[$breaks]* ]]; then\n"
	"		value=${value%\"${value##*[$breaks]}\"}\n"
	"		COMPREPLY=(\"${COMPREPLY[@]#\"$value\"}\")\n"
	"	fi\n"
	"	[[ ${#COMPREPLY[@]} -eq 1 && $kind == place && ${COMPREPLY[0]} == *: ]] && compopt "
	"-o "
	"nospace 2>/dev/null\n"
	"	return 0\n"
	"}\n"
	"\n"
	"complete -F _krunctl krunctl krun-run\n";

static void print_options(const struct described *described, bool values, FILE *out)
{
	fprintf(out, "		%s='", values ? "values" : "options");
	for (size_t i = 0; i < described->opt_count; i++) {
		const struct opt *opt = &described->opts[i];
		const char *word = completion_value_word(opt);

		if (values && opt->value_name == NULL)
			continue;
		if (opt->short_name != 0)
			fprintf(out, values ? "-%c=%s " : "-%c ", opt->short_name,
				word != NULL ? word : "");
		fprintf(out, values ? "--%s=%s " : "--%s ", opt->long_name,
			word != NULL ? word : "");
	}
	fputs("'\n", out);
}

static void print_command(const struct described *described, FILE *out)
{
	fprintf(out, "	'%s')\n", described->path);
	print_options(described, false, out);
	print_options(described, true, out);
	if (described->operands != NULL)
		fprintf(out, "		operands=(%s)\n", described->operands);
	if (described->set != NULL) {
		fputs("		commands='", out);
		for (size_t i = 0; i < described->set->count; i++)
			fprintf(out, "%s ", described->set->items[i].name);
		fputs("'\n", out);
	}
	fputs("		;;\n", out);
}

void completion_bash(const struct description *description, FILE *out)
{
	fputs(words_head, out);
	completion_print_lists(out, "\t", ") printf '%s\\n'", " ;;\n");
	fputs(words_tail, out);
	for (size_t i = 0; i < description->count; i++)
		print_command(&description->items[i], out);
	fputs(body, out);
}
