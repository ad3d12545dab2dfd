/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command-line options from a table: "--name VALUE", "--name=VALUE", "-n VALUE", "-nVALUE", flags,
 * grouped short flags ("-it"), "--" ends options. Options and operands may be mixed unless the
 * caller asks to stop at the first operand (a command to run follows).
 *
 * A table ends with OPT_END. Every table gets --help and --version for free.
 */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <stdbool.h>
#include <stdio.h>

#include "err.h"
#include "macro.h"

enum opt_type {
	OPT_TYPE_FLAG,   /* bool: set to true */
	OPT_TYPE_STRING, /* const char *: points into argv; the last one given wins */
	OPT_TYPE_STRV,   /* char **: strv.h, every one given is appended; the caller frees it */
	OPT_TYPE_INT,    /* long long, between min and max */
};

struct opt {
	char short_name; /* 0: none */
	const char *long_name;
	enum opt_type type;
	void *target;
	const char *value_name; /* "PATH", for the help text */
	const char *help;
	long long min, max;
};

#define OPT_END                                                                                    \
	{                                                                                          \
		.long_name = NULL                                                                  \
	}

enum opt_outcome {
	OPT_OUTCOME_RUN,  /* go on */
	OPT_OUTCOME_DONE, /* --help or --version was printed to standard output: exit with 0 */
};

struct opt_parser {
	const char *usage; /* "krun-run [OPTION]... PATH|IMAGE [-- ARG...]" */
	const char *about; /* a line or more below it */
	const struct opt *opts;
	bool stop_at_operand;
};

/*
 * Parses argv[1..]. `ret_operands` points into argv (whose order changes) and is NULL-terminated.
 * `ret_dashes_at`, which may be NULL, is the index of the first operand that followed "--"; their
 * count where there was no "--". With OPT_OUTCOME_DONE there are no operands. -EINVAL with a sentence
 * that names the option.
 */
int opt_parse(const struct opt_parser *parser, char **argv, char ***ret_operands,
	      size_t *ret_dashes_at, enum opt_outcome *ret_outcome, struct err *err) _must_check_;

void opt_print_help(const struct opt_parser *parser, FILE *out);

/* Whole number in the whole string, in [min, max]. */
int opt_parse_int(const char *text, long long min, long long max,
		  long long *ret_value) _must_check_;

#endif
