/* SPDX-License-Identifier: Apache-2.0 */
#include "opt.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "strv.h"

#define HELP_COLUMN 28

int opt_parse_int(const char *text, long long min, long long max, long long *ret_value)
{
	char *end;
	long long value;

	if (*text == '\0' || strspn(text, "-0123456789") != strlen(text))
		return -EINVAL;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0')
		return -EINVAL;
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

static const struct opt *find_long(const struct opt *opts, const char *name, size_t length)
{
	for (; opts->long_name != NULL; opts++) {
		if (strncmp(opts->long_name, name, length) == 0 && opts->long_name[length] == '\0')
			return opts;
	}
	return NULL;
}

static const struct opt *find_short(const struct opt *opts, char name)
{
	for (; opts->long_name != NULL; opts++) {
		if (opts->short_name != 0 && opts->short_name == name)
			return opts;
	}
	return NULL;
}

static int store(const struct opt *opt, const char *value, struct err *err)
{
	switch (opt->type) {
	case OPT_TYPE_FLAG:
		*(bool *)opt->target = true;
		return 0;
	case OPT_TYPE_STRING:
		*(const char **)opt->target = value;
		return 0;
	case OPT_TYPE_STRV:
		strv_push(opt->target, value);
		return 0;
	case OPT_TYPE_INT:
		if (opt_parse_int(value, opt->min, opt->max, opt->target) < 0)
			return err_set(
				err, EINVAL,
				"--%s must be a whole number between %lld and %lld, not '%s'",
				opt->long_name, opt->min, opt->max, value);
		return 0;
	}
	return -EINVAL;
}

/* `at` is the argument that starts with "--"; moves past a value it takes. */
static int parse_long(const struct opt_parser *parser, char ***at, struct err *err)
{
	const char *name = **at + 2;
	size_t length = strcspn(name, "=");
	const struct opt *opt = find_long(parser->opts, name, length);
	const char *value = name[length] == '=' ? name + length + 1 : NULL;

	if (opt == NULL)
		return err_set(err, EINVAL, "unknown option --%.*s (see --help)", (int)length,
			       name);
	if (opt->type == OPT_TYPE_FLAG) {
		if (value != NULL)
			return err_set(err, EINVAL, "--%s takes no value", opt->long_name);
		return store(opt, NULL, err);
	}
	if (value == NULL) {
		value = (*at)[1];
		if (value == NULL)
			return err_set(err, EINVAL, "--%s needs a value: %s", opt->long_name,
				       opt->value_name);
		(*at)++;
	}
	return store(opt, value, err);
}

static int parse_short(const struct opt_parser *parser, char ***at, struct err *err)
{
	for (const char *p = **at + 1; *p != '\0'; p++) {
		const struct opt *opt = find_short(parser->opts, *p);
		const char *value;
		int r;

		if (opt == NULL)
			return err_set(err, EINVAL, "unknown option -%c (see --help)", *p);
		if (opt->type == OPT_TYPE_FLAG) {
			r = store(opt, NULL, err);
			if (r < 0)
				return r;
			continue;
		}
		value = p[1] != '\0' ? p + 1 : (*at)[1];
		if (value == NULL)
			return err_set(err, EINVAL, "-%c needs a value: %s", *p, opt->value_name);
		if (p[1] == '\0')
			(*at)++;
		return store(opt, value, err);
	}
	return 0;
}

static bool print_and_done(const struct opt_parser *parser, const char *argument)
{
	if (strcmp(argument, "--help") == 0) {
		opt_print_help(parser, stdout);
		return true;
	}
	if (strcmp(argument, "--version") == 0) {
		printf("%s\n", VERSION);
		return true;
	}
	return false;
}

int opt_parse(const struct opt_parser *parser, char **argv, char ***ret_operands,
	      size_t *ret_dashes_at, enum opt_outcome *ret_outcome, struct err *err)
{
	size_t count = 0, dashes_at = SIZE_MAX;
	char **at = argv + (argv[0] != NULL);
	char **operands = at;
	int r;

	*ret_outcome = OPT_OUTCOME_RUN;
	for (; *at != NULL; at++) {
		if (strcmp(*at, "--") == 0) {
			dashes_at = count;
			at++;
			break;
		}
		if (print_and_done(parser, *at)) {
			*ret_outcome = OPT_OUTCOME_DONE;
			count = 0;
			break;
		}
		if ((*at)[0] != '-' || (*at)[1] == '\0') {
			if (parser->stop_at_operand)
				break;
			operands[count++] = *at;
			continue;
		}
		r = (*at)[1] == '-' ? parse_long(parser, &at, err) : parse_short(parser, &at, err);
		if (r < 0)
			return r;
	}
	for (; *at != NULL && *ret_outcome == OPT_OUTCOME_RUN; at++)
		operands[count++] = *at;
	operands[count] = NULL;
	*ret_operands = operands;
	if (ret_dashes_at != NULL)
		*ret_dashes_at = MIN(dashes_at, count);
	return 0;
}

static void print_option(const struct opt *opt, FILE *out)
{
	char head[96];
	int n;

	n = snprintf(head, sizeof(head), "  %c%c%s--%s%s%s", opt->short_name != 0 ? '-' : ' ',
		     opt->short_name != 0 ? opt->short_name : ' ',
		     opt->short_name != 0 ? ", " : "  ", opt->long_name,
		     opt->value_name != NULL ? " " : "",
		     opt->value_name != NULL ? opt->value_name : "");
	if (n >= HELP_COLUMN)
		fprintf(out, "%s\n%*s%s\n", head, HELP_COLUMN, "", opt->help);
	else
		fprintf(out, "%-*s%s\n", HELP_COLUMN, head, opt->help);
}

void opt_print_help(const struct opt_parser *parser, FILE *out)
{
	static const struct opt common[] = {
		{.long_name = "help", .help = "print this help"},
		{.long_name = "version", .help = "print the version"},
	};

	fprintf(out, "Usage: %s\n", parser->usage);
	if (parser->about != NULL)
		fprintf(out, "%s\n", parser->about);
	fprintf(out, "\nOptions:\n");
	for (const struct opt *opt = parser->opts; opt->long_name != NULL; opt++)
		print_option(opt, out);
	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		print_option(&common[i], out);
}
