/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli.h"
#include "spec.h"

/* A body has at most 1 MiB, in which every byte of standard input may need six. */
#define BODY_BYTES_MAX    (1024 * 1024)
#define STDIN_BYTES_MAX   (512 * 1024)
#define ANSWER_SLACK_S    15
#define TIMEOUT_S_DEFAULT 30

struct exec {
	const char *workdir, *user;
	char **env;
	bool interactive;
	long long timeout_s;
};

static int read_stdin(struct buf *input, struct err *err)
{
	json_t *text;
	int r;

	r = fd_read_to_end(STDIN_FILENO, input);
	if (r == -EFBIG)
		return err_set(err, E2BIG, "standard input is longer than %d KiB",
			       STDIN_BYTES_MAX / 1024);
	if (r < 0)
		return err_set_errno(err, -r, "standard input");
	/* What cannot be sent whole is not sent changed. */
	text = json_stringn(input->data != NULL ? input->data : "", input->length);
	if (text == NULL || memchr(input->data != NULL ? input->data : "", '\0', input->length))
		r = err_set(err, EILSEQ, "standard input must be text (UTF-8)");
	json_decref(text);
	return r;
}

static int write_body(const struct exec *exec, char **argv, struct buf *body, struct err *err)
{
	_cleanup_strv_ char **env = NULL;
	_cleanup_buf_ struct buf input = {0};
	struct jsonw w;
	int r = 0;

	for (size_t i = 0; exec->env != NULL && exec->env[i] != NULL && r >= 0; i++)
		r = spec_parse_env(exec->env[i], &env, err);
	buf_init(&input, STDIN_BYTES_MAX);
	if (r >= 0 && exec->interactive)
		r = read_stdin(&input, err);
	if (r < 0)
		return r;
	jsonw_init(&w, body);
	jsonw_object_begin(&w, NULL);
	jsonw_strings(&w, "cmd", argv);
	jsonw_map(&w, "env", env);
	if (exec->workdir != NULL)
		jsonw_string(&w, "workdir", exec->workdir);
	if (exec->user != NULL)
		jsonw_string(&w, "user", exec->user);
	if (input.length > 0)
		jsonw_string_bytes(&w, "stdin", input.data, input.length);
	jsonw_int(&w, "timeout_s", exec->timeout_s);
	jsonw_object_end(&w);
	if (jsonw_finish(&w) < 0)
		return err_set(err, E2BIG, "command and input together are longer than 1 MiB");
	return 0;
}

static int print_stream(json_t *answer, const char *name, int fd)
{
	json_t *text = json_object_get(answer, name);

	if (!json_is_string(text))
		return 0;
	return fd_write_all(fd, json_string_value(text), json_string_length(text));
}

/* What the command wrote is written here; its exit code becomes ours. */
static int relay(json_t *answer, const struct exec *exec, struct err *err)
{
	json_t *code = json_object_get(answer, "exit_code");
	json_int_t signal = json_integer_value(json_object_get(answer, "signal"));

	if (print_stream(answer, "stdout", STDOUT_FILENO) < 0)
		return err_set(err, EIO, "standard output cannot be written");
	(void)!print_stream(answer, "stderr", STDERR_FILENO);
	if (json_is_true(json_object_get(answer, "truncated")))
		cli_say("the command printed more than one answer holds: the rest is missing");
	if (json_is_true(json_object_get(answer, "timed_out")))
		return err_set(err, ETIME, "the command did not end within %lld s and was killed",
			       exec->timeout_s);
	if (signal > 0)
		return 128 + (int)signal;
	if (!json_is_integer(code))
		return err_set(err, EIO, "the server did not say how the command ended");
	return (int)(json_integer_value(code) & 0xff);
}

static int run(const struct exec *exec, char **operands, struct err *err)
{
	_cleanup_free_ char *path = client_path("/v1/machines/%s/exec", operands[0]);
	_cleanup_client_ struct client *client = NULL;
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_buf_ struct buf body = {0};
	int r;

	buf_init(&body, BODY_BYTES_MAX);
	r = write_body(exec, operands + 1, &body, err);
	if (r >= 0)
		r = cli_connect(&client, err);
	if (r >= 0)
		r = client_json(client,
				&(struct client_request){
					.method = "POST",
					.path = path,
					.body = body.data,
					.body_length = body.length,
					.timeout_ms = (exec->timeout_s + ANSWER_SLACK_S) * 1000,
				},
				&answer, err);
	return r < 0 ? r : relay(answer, exec, err);
}

static int parse_and_run(struct exec *exec, char **argv, struct err *err)
{
	const struct opt opts[] = {
		{'i', "interactive", OPT_TYPE_FLAG, &exec->interactive, NULL,
		 "give it our standard input, read to its end first"},
		{'e', "env", OPT_TYPE_STRV, &exec->env, "K[=V]", "set a variable"},
		{'w', "workdir", OPT_TYPE_STRING, &exec->workdir, "DIR", "where it starts"},
		{'u', "user", OPT_TYPE_STRING, &exec->user, "USER[:GROUP]", "who it is"},
		{0, "timeout", OPT_TYPE_INT, &exec->timeout_s, "S",
		 "seconds until it is killed (30)", 1, 86400},
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
	struct exec exec = {.timeout_s = TIMEOUT_S_DEFAULT};
	int r;

	r = parse_and_run(&exec, argv, err);
	strv_free(exec.env);
	return r;
}
