/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion of our commands by a shell. The scripts are made from the commands' own tables: each
 * command is asked for its options by cli_describe, so that none can be forgotten.
 *
 * What an operand or an option's value is, is a word of completion_words; the scripts ask krunctl for
 * those that only a server knows.
 */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include <stddef.h>
#include <stdio.h>

#include "base/opt.h"
#include "cli.h"

/* One command as a script sees it. Strings live as long as the program. */
struct described {
	char *path; /* "krunctl", "krunctl volume ls", "krun-run" */
	const char *operands;
	const struct command_set *set; /* NULL: it has no commands of its own */
	struct opt *opts;
	size_t opt_count;
};

struct description {
	struct described *items;
	size_t count;
};

/* A word that stands for others: given by the program, or by a shell's own means where NULL. */
struct completion_word {
	const char *name;
	char *(*list)(void); /* one a line, on the heap */
};

extern const struct completion_word completion_words[];
extern const size_t completion_word_count;

/* Word for the value of an option, NULL where it cannot be completed. */
const char *completion_value_word(const struct opt *opt);

/* `text` between single quotes of a shell; each of `special` with a backslash before it. */
void completion_quote(FILE *out, const char *text, const char *special);

/* Each word that has a list: `before`, its name, `after`, the list in one line, `end`. */
void completion_print_lists(FILE *out, const char *before, const char *after, const char *end);

void completion_bash(const struct description *description, FILE *out);
void completion_zsh(const struct description *description, FILE *out);
void completion_fish(const struct description *description, FILE *out);

#endif
