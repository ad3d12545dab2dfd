/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "bounds.h"

struct exec {
	struct session *session;
	void (*on_end)(void *user, struct exec_result *result);
	void *user;
	struct exec_result result;
	char *input;
	size_t input_length, input_sent;
};

void exec_free(struct exec *exec)
{
	if (exec == NULL)
		return;
	session_free(exec->session);
	buf_done(&exec->result.out);
	buf_done(&exec->result.errors);
	free(exec->input);
	free(exec);
}

static void send_input(struct exec *exec)
{
	size_t length =
		MIN(exec->input_length - exec->input_sent, session_input_room(exec->session));

	if (length > 0)
		session_input(exec->session, exec->input + exec->input_sent, length);
	exec->input_sent += length;
	if (exec->input_sent == exec->input_length)
		session_end_input(exec->session);
}

static void on_room(void *user)
{
	send_input(user);
}

static void on_output(void *user, enum wire_stream stream, const void *data, size_t length)
{
	struct exec *exec = user;
	struct buf *kept = stream == WIRE_STREAM_STDOUT ? &exec->result.out : &exec->result.errors;
	size_t keep = MIN(EXEC_OUTPUT_BYTES_MAX - kept->length, length);

	if (buf_append(kept, data, keep) < 0 || keep < length)
		exec->result.truncated = true;
	session_give_credit(exec->session, stream, length);
}

/* Could not be run: as a shell would tell it, by a code and a sentence on standard error. */
static void take_refusal(struct exec *exec, const struct session_end *end)
{
	if (buf_printf(&exec->result.errors, "%s\n", end->sentence) < 0)
		exec->result.truncated = true;
}

static void on_end(void *user, const struct session_end *end)
{
	struct exec *exec = user;
	struct exec_result *result = &exec->result;

	exec->session = NULL;
	result->code = end->code;
	result->signal = end->signal;
	result->timed_out = end->timed_out;
	if (end->outcome == SESSION_REFUSED)
		take_refusal(exec, end);
	else if (end->outcome != SESSION_EXITED)
		result->error =
			err_set(&result->err, end->outcome == SESSION_STUCK ? ETIMEDOUT : EPIPE,
				"%s", end->sentence);
	exec->on_end(exec->user, result);
	exec_free(exec);
}

int exec_new(struct machine *machine, const struct exec_spec *spec,
	     void (*on_exec_end)(void *user, struct exec_result *result), void *user,
	     struct exec **ret_exec, struct err *err)
{
	static const struct session_calls calls = {.on_output = on_output,
						   .on_room = on_room,
						   .on_end = on_end};
	struct exec *exec = mem_new(struct exec);
	int r;

	exec->on_end = on_exec_end;
	exec->user = user;
	buf_init(&exec->result.out, EXEC_OUTPUT_BYTES_MAX + 1);
	buf_init(&exec->result.errors, EXEC_OUTPUT_BYTES_MAX + 1);
	exec->input = mem_strdup_or_null(spec->input);
	exec->input_length = spec->input == NULL ? 0 : strlen(spec->input);
	r = exec_spec_start(spec, machine, &calls, exec, &exec->session, err);
	if (r < 0) {
		exec_free(exec);
		return r;
	}
	send_input(exec);
	*ret_exec = exec;
	return 0;
}
