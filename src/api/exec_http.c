/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/strv.h"
#include "bounds.h"
#include "exec.h"
#include "find_http.h"
#include "handlers.h"
#include "machine.h"
#include "request.h"
#include "wire/signal.h"

#define AT(member) offsetof(struct exec_spec, member)

static const struct json_field fields[] = {
	{"cmd", JSON_WANT_STRINGS, AT(cmd), .required = true, .max = LIMIT_ARGS},
	{"env", JSON_WANT_MAP, AT(env), .max = LIMIT_ENV},
	{"workdir", JSON_WANT_STRING, AT(workdir)},
	{"user", JSON_WANT_STRING, AT(user)},
	{"stdin", JSON_WANT_STRING, AT(input)},
	{"timeout_s", JSON_WANT_INT, AT(timeout_s), .min = 1, .max = EXEC_TIMEOUT_S_MAX},
	JSON_FIELD_END,
};

static void spec_done(struct exec_spec *spec)
{
	strv_free(spec->cmd);
	strv_free(spec->env);
	free(spec->workdir);
	free(spec->user);
	free(spec->input);
}

static void forget_empty(char **text)
{
	if (*text != NULL && **text == '\0') {
		free(*text);
		*text = NULL;
	}
}

static int read_spec(const struct request *request, struct exec_spec *spec, struct err *err)
{
	_cleanup_json_ json_t *body = NULL;
	int r = json_parse(request->body.data == NULL ? "" : request->body.data,
			   request->body.length, &body, err);

	if (r >= 0)
		r = json_read(body, "", fields, spec, err);
	if (r < 0)
		return r;
	if (spec->cmd[0] == NULL || spec->cmd[0][0] == '\0')
		return err_set(err, EDOM, "cmd must name a program");
	/* As in the machine's own configuration, an empty text is none. */
	forget_empty(&spec->workdir);
	forget_empty(&spec->user);
	if (spec->workdir != NULL && spec->workdir[0] != '/')
		return err_set(err, EDOM, "workdir must be an absolute path, not '%.64s'",
			       spec->workdir);
	return 0;
}

static void reply_result(struct request *request, const struct exec_result *result)
{
	struct buf body;
	struct jsonw w;

	buf_init(&body, HTTP_REPLY_BYTES_MAX);
	jsonw_init(&w, &body);
	jsonw_object_begin(&w, NULL);
	jsonw_int(&w, "exit_code", result->code);
	if (result->signal == 0)
		jsonw_null(&w, "signal");
	else
		jsonw_int(&w, "signal", result->signal);
	jsonw_string_bytes(&w, "stdout", result->out.data, result->out.length);
	jsonw_string_bytes(&w, "stderr", result->errors.data, result->errors.length);
	jsonw_bool(&w, "timed_out", result->timed_out);
	jsonw_bool(&w, "truncated", result->truncated);
	jsonw_object_end(&w);
	if (jsonw_finish(&w) < 0) {
		buf_done(&body);
		reply_error(request, 500, "internal", "the result is too large");
		return;
	}
	reply_json(request, 200, &body);
}

static void on_end(void *user, struct exec_result *result)
{
	struct request *request = user;

	if (result->error == -ETIMEDOUT)
		reply_error(request, 408, "exec_timeout", "%s", result->err.text);
	else if (result->error < 0)
		reply_error(request, 409, "machine_ended", "%s", result->err.text);
	else
		reply_result(request, result);
}

static void on_gone(struct request *request)
{
	exec_free(request->data);
}

void exec_http_run(struct request *request)
{
	_cleanup_(spec_done) struct exec_spec spec = {.timeout_s = EXEC_TIMEOUT_S_USUAL};
	struct machine *machine = find_machine(request);
	struct exec *exec;
	struct err err = {0};
	int r;

	if (machine == NULL)
		return;
	r = read_spec(request, &spec, &err);
	if (r >= 0)
		r = exec_new(machine, &spec, on_end, request, &exec, &err);
	if (r == -EUSERS) {
		reply_error(request, 429, "too_many_execs", "%s", err.text);
		return;
	}
	if (r < 0) {
		reply_errno(request, r, &err);
		return;
	}
	request->data = exec;
	request->on_gone = on_gone;
}
