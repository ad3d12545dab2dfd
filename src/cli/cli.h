/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands share. A command takes argv (argv[0] is its name) and returns its exit code, or
 * a negative errno with the error set, which the caller prints and turns into CLI_EXIT_FAILED
 * (CLI_EXIT_RUN where the exit code is otherwise that of a program in a machine).
 *
 * Answers go to standard output, everything that is only for the reader to standard error.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/json.h"
#include "base/opt.h"
#include "client.h"

enum {
	CLI_EXIT_OK = 0,
	CLI_EXIT_FAILED = 1,
	CLI_EXIT_RUN = 125, /* ours, where 0 to 124 and 126 up are the workload's */
};

/* Which server; every command has these two options. */
struct cli_server {
	const char *api;
	const char *token_file;
};

extern struct cli_server cli_server;

#define CLI_SERVER_OPTS                                                                            \
	{0,                                                                                        \
	 "api",                                                                                    \
	 OPT_TYPE_STRING,                                                                          \
	 &cli_server.api,                                                                          \
	 "URL",                                                                                    \
	 "server: unix:///PATH or http://HOST:PORT ($KRUN_API)"},                                  \
	{                                                                                          \
		0, "token-file", OPT_TYPE_STRING, &cli_server.token_file, "FILE",                  \
			"token for the server ($KRUN_TOKEN)"                                       \
	}

int cli_connect(struct client **ret_client, struct err *err) _must_check_;

struct cli_arguments {
	char **operands;
	size_t count;
	size_t dashes_at; /* operands before "--" */
};

/* Parses; 1 when the command shall run, 0 when help was printed. At least `min` operands. */
int cli_parse(const struct opt_parser *parser, char **argv, size_t min,
	      struct cli_arguments *ret_arguments, struct err *err) _must_check_;

/* The same for a command that takes exactly one operand, which is called `what`. */
int cli_parse_one(const struct opt_parser *parser, char **argv, const char *what,
		  const char **ret_operand, struct err *err) _must_check_;

/* The same for a command that takes options alone: an operand is refused. */
int cli_parse_alone(const struct opt_parser *parser, char **argv, struct err *err) _must_check_;

/* "krunctl: sentence" on standard error, control characters replaced. */
void cli_say_error(const struct err *err);
void cli_say(const char *fmt, ...) _printf_(1, 2);

/* Name under which messages are printed; set once by main. */
extern const char *cli_program;

/* ---- pieces of answers ---- */

/* "" where the member is absent, null or no string. */
const char *cli_text(json_t *object, const char *name);
/* -1 where it is not there or not a time. */
int64_t cli_time_ns(json_t *object, const char *name);

/* Pretty JSON and a newline on standard output; -EIO when that failed. */
int cli_print_json(json_t *value, struct err *err) _must_check_;

/* Writes out what stdio holds; an output that could not be written is an error. */
int cli_flush(struct err *err) _must_check_;

/* What a command does with one of its operands. */
typedef int cli_each_fn(struct client *client, const char *name, void *user, struct err *err);

/*
 * A whole command that does the same for each operand: parses (at least one), connects, runs `each`;
 * says each error and goes on. The exit code, or a negative errno as for commands.
 */
int cli_for_each(const struct opt_parser *parser, char **argv, cli_each_fn *each, void *user,
		 struct err *err) _must_check_;

struct table;

/* What the server lists whole, in one array. */
struct cli_listing {
	const char *path;
	const char *member;      /* the array's */
	const char *key;         /* of an item: what alone is printed with -q */
	const char *const *head; /* of the table; ends with NULL */
	void (*add_row)(struct table *table, json_t *item);
};

/* Asks and prints: the array as JSON, a key each line, or a table. 0 or a negative errno. */
int cli_list(const struct cli_listing *listing, bool json, bool quiet,
	     struct err *err) _must_check_;

/* RFC 3339, seconds since 1970, or as in "1h30m" for as long ago. */
int cli_read_time(const char *text, int64_t *ret_ns, struct err *err) _must_check_;

/* ---- commands: krun-run and those of krunctl ---- */

struct command {
	const char *name;
	const char *summary;
	int (*run)(char **argv, struct err *err);
	int failed_exit; /* 0: CLI_EXIT_FAILED */
	/*
	 * What its operands are, for completion: words of completion.c, the last with "..." where it
	 * may be given again; NULL: nothing that could be completed.
	 */
	const char *operands;
	const struct command_set *set; /* instead of run(): it has commands of its own */
};

struct command_set {
	const char *usage, *about;
	const struct command *items;
	size_t count;
};

/* One of a set by argv[1]; says its error. The exit code. */
int cli_run_set(const struct command_set *set, char **argv) _must_check_;
int cli_run_command(const struct command *command, char **argv) _must_check_;

/*
 * Not to run but to be described: while it is set, cli_parse() hands the table of options to it and
 * says that there is nothing to do. Every command parses before it does anything.
 */
extern void (*cli_describe)(const struct opt_parser *parser);

/* main.c: krunctl's, and krun-run. */
extern const struct command_set krunctl_commands;
extern const struct command run_command;
extern const struct command_set volume_commands;

int command_run(char **argv, struct err *err);
int command_ps(char **argv, struct err *err);
int command_inspect(char **argv, struct err *err);
int command_start(char **argv, struct err *err);
int command_stop(char **argv, struct err *err);
int command_restart(char **argv, struct err *err);
int command_kill(char **argv, struct err *err);
int command_signal(char **argv, struct err *err);
int command_rm(char **argv, struct err *err);
int command_logs(char **argv, struct err *err);
int command_exec(char **argv, struct err *err);
int command_cp(char **argv, struct err *err);
int command_wait(char **argv, struct err *err);
int command_events(char **argv, struct err *err);
int command_stats(char **argv, struct err *err);
int command_images(char **argv, struct err *err);
int command_import(char **argv, struct err *err);
int command_rmi(char **argv, struct err *err);
int command_info(char **argv, struct err *err);
int command_doctor(char **argv, struct err *err);
int command_completion(char **argv, struct err *err);

#endif
