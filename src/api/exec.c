/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

#include <errno.h>
#include <string.h>
#include <uv.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "bounds.h"
#include "launch.h"
#include "link.h"
#include "machine.h"
#include "server.h"
#include "wire/signal.h"

#define CREDIT_PORTION_BYTES (LIMIT_WINDOW_BYTES / 4)

struct output {
	enum wire_stream stream;
	struct buf *kept;
	uint32_t owed; /* taken and not yet given back as credit */
};

struct exec {
	struct machine *machine;
	struct observer observer; /* so that the machine does not go first */
	struct link *link;
	uv_timer_t timer;
	void (*on_end)(void *user, struct exec_result *result);
	void *user;
	struct exec_result result;
	struct output outputs[2];
	char *input;
	size_t input_length, input_sent;
	uint32_t input_credit;
	bool input_ended, killed, has_result;
};

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void exec_free(struct exec *exec)
{
	if (exec == NULL)
		return;
	link_free(exec->link);
	if (exec->observer.machine != NULL)
		exec->machine->exec_count--;
	machine_unobserve(&exec->observer);
	buf_done(&exec->result.out);
	buf_done(&exec->result.errors);
	free(exec->input);
	uv_close((uv_handle_t *)&exec->timer, on_timer_closed);
}

static void end(struct exec *exec)
{
	exec->on_end(exec->user, &exec->result);
	exec_free(exec);
}

static void fail(struct exec *exec, int errnum, const char *sentence)
{
	exec->result.error = err_set(&exec->result.err, errnum, "%s", sentence);
	end(exec);
}

/* ---- standard input ---- */

static void send_input(struct exec *exec)
{
	while (exec->input_sent < exec->input_length && exec->input_credit > 0) {
		size_t length = MIN(exec->input_length - exec->input_sent, LIMIT_PAYLOAD_BYTES);

		length = MIN(length, exec->input_credit);
		link_send_data(exec->link, WIRE_STDIN, WIRE_STREAM_STDIN,
			       exec->input + exec->input_sent, length);
		exec->input_sent += length;
		exec->input_credit -= (uint32_t)length;
	}
	if (exec->input_sent == exec->input_length && !exec->input_ended) {
		exec->input_ended = true;
		link_send_data(exec->link, WIRE_END, WIRE_STREAM_STDIN, NULL, 0);
	}
}

/* ---- frames ---- */

static int on_credit(struct exec *exec, const struct wire_frame *frame)
{
	struct wire_credit credit;

	if (wire_unpack(&wire_credit_message, frame->payload, frame->length, &credit) < 0)
		return -EBADMSG;
	if (frame->stream != WIRE_STREAM_STDIN)
		return 0;
	exec->input_credit += MIN(credit.bytes, UINT32_MAX - exec->input_credit);
	send_input(exec);
	return 0;
}

static int grant(struct exec *exec, struct output *output)
{
	const struct wire_credit credit = {.bytes = output->owed};

	output->owed = 0;
	return link_send(exec->link, WIRE_CREDIT, output->stream, &wire_credit_message, &credit);
}

static int on_output(struct exec *exec, struct output *output, const struct wire_frame *frame)
{
	size_t room = EXEC_OUTPUT_BYTES_MAX - output->kept->length;
	size_t keep = MIN(room, frame->length);

	if (buf_append(output->kept, frame->payload, keep) < 0)
		return -ENOBUFS;
	if (keep < frame->length)
		exec->result.truncated = true;
	output->owed += (uint32_t)frame->length;
	return output->owed >= CREDIT_PORTION_BYTES ? grant(exec, output) : 0;
}

static int on_exit_frame(struct exec *exec, const struct wire_frame *frame)
{
	struct wire_exited exited;

	if (wire_unpack(&wire_exited_message, frame->payload, frame->length, &exited) < 0)
		return -EBADMSG;
	exec->result.code = exited.code;
	exec->result.signal = exited.signal;
	exec->has_result = true;
	end(exec);
	return 0;
}

/* Could not be run: as a shell would tell it, by a code and a sentence on standard error. */
static int on_fail_frame(struct exec *exec, const struct wire_frame *frame)
{
	struct wire_fail failure;

	if (wire_unpack(&wire_fail_message, frame->payload, frame->length, &failure) < 0)
		return -EBADMSG;
	exec->result.code = failure.code;
	exec->has_result = true;
	if (failure.text != NULL && buf_printf(&exec->result.errors, "%s\n", failure.text) < 0)
		exec->result.truncated = true;
	end(exec);
	return 0;
}

static int on_frame(void *user, const struct wire_frame *frame)
{
	struct exec *exec = user;

	switch (frame->type) {
	case WIRE_STDOUT:
		return on_output(exec, &exec->outputs[0], frame);
	case WIRE_STDERR:
		return on_output(exec, &exec->outputs[1], frame);
	case WIRE_CREDIT:
		return on_credit(exec, frame);
	case WIRE_EXIT:
		return on_exit_frame(exec, frame);
	case WIRE_FAIL:
		return on_fail_frame(exec, frame);
	default:
		return 0;
	}
}

static void on_hello(void *user, const struct wire_hello *hello)
{
}

static void on_closed(void *user, int error)
{
	struct exec *exec = user;

	exec->link = NULL;
	if (exec->killed)
		fail(exec, ETIMEDOUT,
		     "the command was killed after its time limit and did not "
		     "end");
	else
		fail(exec, EPIPE, "the machine ended while the command ran");
}

static void on_timer(uv_timer_t *timer)
{
	const struct wire_signal signal = {.signal = WIRE_SIGKILL};
	struct exec *exec = timer->data;

	if (exec->killed) {
		fail(exec, ETIMEDOUT,
		     "the command was killed after its time limit and did not "
		     "end");
		return;
	}
	exec->killed = true;
	exec->result.timed_out = true;
	if (link_send(exec->link, WIRE_SIGNAL, 0, &wire_signal_message, &signal) >= 0)
		uv_timer_start(&exec->timer, on_timer, EXEC_GRACE_MS, 0);
}

/* ---- beginning ---- */

static void on_machine(struct observer *observer, enum machine_event event)
{
	struct exec *exec = (struct exec *)((char *)observer - offsetof(struct exec, observer));

	/* A machine is deleted only at rest, when our connection has ended; but not later. */
	if (event == MACHINE_EVENT_DELETED)
		fail(exec, EPIPE, "the machine ended while the command ran");
}

static void fill_process(struct wire_process *process, const struct exec_spec *spec,
			 const struct merged *merged)
{
	size_t count;

	for (count = 0; spec->cmd[count] != NULL; count++)
		process->argv[count] = spec->cmd[count];
	for (count = 0; merged->env != NULL && merged->env[count] != NULL; count++)
		process->env[count] = merged->env[count];
	process->workdir = spec->workdir != NULL ? spec->workdir : merged->workdir;
	process->user = spec->user != NULL ? spec->user : merged->user;
}

static void lay_over(char ***env, char *const *over)
{
	for (; over != NULL && *over != NULL; over++) {
		const char *equals = strchr(*over, '=');
		_cleanup_free_ char *key = mem_strdup(*over);

		key[equals - *over] = '\0';
		strv_env_set(env, key, equals + 1);
	}
}

/* The whole OPEN. -EDOM when it does not fit. */
static int send_open(struct exec *exec, const struct exec_spec *spec, struct err *err)
{
	struct wire_open *open = mem_new(struct wire_open);
	struct merged merged = {0};
	int r = launch_merge(exec->machine, &merged, err);

	if (r >= 0) {
		lay_over(&merged.env, spec->env);
		r = merge_check_size(spec->cmd, merged.env,
				     spec->workdir != NULL ? spec->workdir : merged.workdir,
				     spec->user != NULL ? spec->user : merged.user, err);
	}
	if (r >= 0) {
		fill_process(&open->process, spec, &merged);
		if (link_send(exec->link, WIRE_OPEN, 0, &wire_open_message, open) < 0)
			r = err_set(err, EDOM, "the command does not fit into a message");
	}
	merged_done(&merged);
	free(open);
	return r;
}

static int start(struct exec *exec, const struct exec_spec *spec, struct err *err)
{
	static const struct link_calls calls = {.on_hello = on_hello,
						.on_frame = on_frame,
						.on_closed = on_closed};
	_cleanup_free_ char *run_dir = machine_run_directory(exec->machine);
	_cleanup_free_ char *path = path_join(run_dir, "ctl");
	int r = link_new(exec->machine->server, path, WIRE_ROLE_SESSION, &calls, exec, &exec->link);

	if (r < 0)
		return err_set_errno(err, -r, "cannot reach the machine");
	r = send_open(exec, spec, err);
	for (size_t i = 0; i < ARRAY_SIZE(exec->outputs) && r >= 0; i++)
		r = grant(exec, &exec->outputs[i]);
	if (r >= 0)
		send_input(exec);
	return r;
}

static struct exec *make(struct machine *machine, const struct exec_spec *spec)
{
	struct exec *exec = mem_new(struct exec);

	exec->machine = machine;
	exec->observer.notify = on_machine;
	machine_observe(machine, &exec->observer);
	machine->exec_count++;
	buf_init(&exec->result.out, EXEC_OUTPUT_BYTES_MAX + 1);
	buf_init(&exec->result.errors, EXEC_OUTPUT_BYTES_MAX + 1);
	exec->outputs[0] =
		(struct output){WIRE_STREAM_STDOUT, &exec->result.out, LIMIT_WINDOW_BYTES};
	exec->outputs[1] =
		(struct output){WIRE_STREAM_STDERR, &exec->result.errors, LIMIT_WINDOW_BYTES};
	exec->input = mem_strdup_or_null(spec->input);
	exec->input_length = spec->input == NULL ? 0 : strlen(spec->input);
	uv_timer_init(machine->server->loop, &exec->timer);
	exec->timer.data = exec;
	return exec;
}

int exec_new(struct machine *machine, const struct exec_spec *spec,
	     void (*on_end)(void *user, struct exec_result *result), void *user,
	     struct exec **ret_exec, struct err *err)
{
	struct exec *exec;
	int r;

	if (machine->state != MACHINE_STATE_RUNNING && machine->state != MACHINE_STATE_STOPPING)
		return err_set(err, EBUSY, "machine '%s' is %s: a command needs it running",
			       machine->name, machine_state_name(machine->state));
	if (machine->exec_count >= LIMIT_SESSIONS)
		return err_set(err, EUSERS, "%d commands run in this machine already",
			       LIMIT_SESSIONS);
	exec = make(machine, spec);
	r = start(exec, spec, err);
	if (r < 0) {
		exec_free(exec);
		return r;
	}
	exec->on_end = on_end;
	exec->user = user;
	uv_timer_start(&exec->timer, on_timer, (uint64_t)spec->timeout_s * 1000, 0);
	*ret_exec = exec;
	return 0;
}
