/* SPDX-License-Identifier: Apache-2.0 */
/* krunctl exec: what is asked for; exec_stream.c does it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/jsonw.h"
#include "base/strv.h"
#include "cli.h"
#include "exec_stream.h"
#include "spec.h"
#include "terminal.h"

/* The first message is what a body may be. */
#define BODY_BYTES_MAX (1024 * 1024)

struct exec {
	const char *workdir, *user;
	char **env;
	bool interactive, tty;
	long long timeout_s; /* 0: none */
};

/* What cannot be sent whole is not sent changed. */
static int check_text(char *const *texts, struct err *err)
{
	for (; texts != NULL && *texts != NULL; texts++) {
		json_t *text = json_string(*texts);

		if (text == NULL)
			return err_set(err, EILSEQ,
				       "arguments and variables must be text (UTF-8): '%s'",
				       *texts);
		json_decref(text);
	}
	return 0;
}

static int write_body(const struct exec *exec, char **argv, struct buf *body, struct err *err)
{
	_cleanup_strv_ char **env = NULL;
	struct terminal_size size = {0};
	struct jsonw w;
	int r = 0;

	for (size_t i = 0; exec->env != NULL && exec->env[i] != NULL && r >= 0; i++)
		r = spec_parse_env(exec->env[i], &env, err);
	if (r >= 0)
		r = check_text(argv, err);
	if (r >= 0)
		r = check_text(env, err);
	if (r < 0)
		return r;
	if (exec->tty)
		size = terminal_size();
	jsonw_init(&w, body);
	jsonw_object_begin(&w, NULL);
	jsonw_strings(&w, "cmd", argv);
	jsonw_map(&w, "env", env);
	if (exec->workdir != NULL)
		jsonw_string(&w, "workdir", exec->workdir);
	if (exec->user != NULL)
		jsonw_string(&w, "user", exec->user);
	if (exec->timeout_s > 0)
		jsonw_int(&w, "timeout_s", exec->timeout_s);
	if (exec->tty) {
		jsonw_bool(&w, "tty", true);
		jsonw_int(&w, "rows", size.rows);
		jsonw_int(&w, "columns", size.columns);
	}
	jsonw_object_end(&w);
	if (jsonw_finish(&w) < 0)
		return err_set(err, E2BIG, "the command is longer than 1 MiB");
	return 0;
}

static int run(const struct exec *exec, char **operands, struct err *err)
{
	_cleanup_free_ char *path = client_path("/v1/machines/%s/exec", operands[0]);
	_cleanup_client_ struct client *client = NULL;
	_cleanup_buf_ struct buf body = {0};
	int r;

	if (exec->tty && exec->interactive && !isatty(STDIN_FILENO))
		return err_set(
			err, ENOTTY,
			"standard input is not a terminal: leave -t out ('krunctl exec -i')");
	buf_init(&body, BODY_BYTES_MAX);
	r = write_body(exec, operands + 1, &body, err);
	if (r >= 0)
		r = cli_connect(&client, err);
	if (r < 0)
		return r;
	return exec_stream_run(client,
			       &(struct exec_stream){
				       .path = path,
				       .first = body.data,
				       .interactive = exec->interactive,
				       .tty = exec->tty,
				       .timeout_s = exec->timeout_s,
			       },
			       err);
}

static int parse_and_run(struct exec *exec, char **argv, struct err *err)
{
	const struct opt opts[] = {
		{'i', "interactive", OPT_TYPE_FLAG, &exec->interactive, NULL,
		 "give it our standard input"},
		{'t', "tty", OPT_TYPE_FLAG, &exec->tty, NULL, "give it a terminal"},
		{'e', "env", OPT_TYPE_STRV, &exec->env, "K[=V]", "set a variable"},
		{'w', "workdir", OPT_TYPE_STRING, &exec->workdir, "DIR", "where it starts"},
		{'u', "user", OPT_TYPE_STRING, &exec->user, "USER[:GROUP]", "who it is"},
		{0, "timeout", OPT_TYPE_INT, &exec->timeout_s, "S",
		 "seconds until it is killed (never)", 1, 86400},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl exec [OPTION]... MACHINE COMMAND [ARGUMENT]...",
		.about = "Runs a command in a running machine; ends with its exit code.",
		.opts = opts,
		.stop_at_operand = true,
	};
	struct cli_arguments arguments;
	int r;

	r = cli_parse(&parser, argv, 2, &arguments, err);
	if (r <= 0)
		return r;
	/* Also "exec MACHINE -- COMMAND". */
	if (strcmp(arguments.operands[1], "--") == 0) {
		arguments.operands[1] = arguments.operands[0];
		arguments.operands++;
	}
	if (arguments.operands[1] == NULL)
		return err_set(err, EINVAL, "there is no command behind '--'");
	return run(exec, arguments.operands, err);
}

int command_exec(char **argv, struct err *err)
{
	struct exec exec = {0};
	int r;

	r = parse_and_run(&exec, argv, err);
	strv_free(exec.env);
	return r;
}
