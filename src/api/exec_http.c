/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/jsonw.h"
#include "bounds.h"
#include "exec.h"
#include "find_http.h"
#include "handlers.h"
#include "machine.h"
#include "request.h"

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
	_cleanup_(exec_spec_done) struct exec_spec spec = {.timeout_s = EXEC_TIMEOUT_S_USUAL};
	struct machine *machine = find_machine(request);
	struct exec *exec;
	struct err err = {0};
	int r;

	if (machine == NULL)
		return;
	r = exec_spec_read(&spec, false, request->body.data, request->body.length, &err);
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
