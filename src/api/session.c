/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <assert.h>
#include <errno.h>
#include <uv.h>

#include "base/file.h"
#include "base/mem.h"
#include "bounds.h"
#include "link.h"
#include "machine.h"
#include "server.h"
#include "supervisor.h"
#include "wire/signal.h"

#define CREDIT_PORTION_BYTES (LIMIT_WINDOW_BYTES / 2)

static const char lost_sentence[] = "the machine ended while the command ran";
static const char stuck_sentence[] = "the command was killed after its time limit and did not end";

struct output {
	size_t open; /* bytes that the guest may still send */
	size_t owed; /* dealt with and not yet given back */
};

struct session {
	struct machine *machine;
	struct observer observer; /* so that the machine does not go first */
	struct link *link;
	uv_timer_t timer;
	const struct session_calls *calls;
	void *user;
	struct output outputs[2];
	uint32_t input_credit;
	bool input_ended, killed;
};

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void session_free(struct session *session)
{
	if (session == NULL)
		return;
	link_free(session->link);
	if (session->observer.machine != NULL)
		session->machine->exec_count--;
	machine_unobserve(&session->observer);
	uv_close((uv_handle_t *)&session->timer, on_timer_closed);
}

static void end(struct session *session, struct session_end *session_end)
{
	session_end->timed_out = session->killed;
	session->calls->on_end(session->user, session_end);
	session_free(session);
}

static void lose(struct session *session)
{
	if (session->killed)
		end(session,
		    &(struct session_end){.outcome = SESSION_STUCK, .sentence = stuck_sentence});
	else
		end(session,
		    &(struct session_end){.outcome = SESSION_LOST, .sentence = lost_sentence});
}

/* ---- towards the guest ---- */

size_t session_input_room(const struct session *session)
{
	return session->input_ended ? 0 : session->input_credit;
}

void session_input(struct session *session, const void *data, size_t length)
{
	const char *from = data;

	assert(length <= session_input_room(session));
	session->input_credit -= (uint32_t)length;
	while (length > 0) {
		size_t piece = MIN(length, LIMIT_PAYLOAD_BYTES);

		link_send_data(session->link, WIRE_STDIN, WIRE_STREAM_STDIN, from, piece);
		from += piece;
		length -= piece;
	}
}

void session_end_input(struct session *session)
{
	if (session->input_ended)
		return;
	session->input_ended = true;
	link_send_data(session->link, WIRE_END, WIRE_STREAM_STDIN, NULL, 0);
}

static int grant(struct session *session, enum wire_stream stream, size_t bytes)
{
	const struct wire_credit credit = {.bytes = (uint32_t)bytes};
	struct output *output = &session->outputs[stream - WIRE_STREAM_STDOUT];

	output->open += bytes;
	return link_send(session->link, WIRE_CREDIT, (uint8_t)stream, &wire_credit_message,
			 &credit);
}

void session_give_credit(struct session *session, enum wire_stream stream, size_t length)
{
	struct output *output = &session->outputs[stream - WIRE_STREAM_STDOUT];

	output->owed += length;
	assert(output->open + output->owed <= LIMIT_WINDOW_BYTES);
	if (output->owed < CREDIT_PORTION_BYTES)
		return;
	length = output->owed;
	output->owed = 0;
	(void)!grant(session, stream, length); /* a message of fixed size fits */
}

bool session_has_room(const struct session *session)
{
	return link_has_room(session->link);
}

void session_signal(struct session *session, int signal)
{
	const struct wire_signal message = {.signal = (uint32_t)signal};

	(void)!link_send(session->link, WIRE_SIGNAL, 0, &wire_signal_message, &message);
}

void session_resize(struct session *session, uint32_t rows, uint32_t columns)
{
	const struct wire_resize message = {.rows = rows, .columns = columns};

	(void)!link_send(session->link, WIRE_RESIZE, 0, &wire_resize_message, &message);
}

/* ---- frames ---- */

static int on_credit(struct session *session, const struct wire_frame *frame)
{
	struct wire_credit credit;

	if (wire_unpack(&wire_credit_message, frame->payload, frame->length, &credit) < 0)
		return -EBADMSG;
	if (frame->stream != WIRE_STREAM_STDIN)
		return 0;
	session->input_credit += MIN(credit.bytes, UINT32_MAX - session->input_credit);
	if (session->calls->on_room != NULL)
		session->calls->on_room(session->user);
	return 0;
}

static int on_output(struct session *session, const struct wire_frame *frame)
{
	enum wire_stream stream =
		frame->type == WIRE_STDOUT ? WIRE_STREAM_STDOUT : WIRE_STREAM_STDERR;
	struct output *output = &session->outputs[stream - WIRE_STREAM_STDOUT];

	if (frame->length > output->open)
		return -EBADMSG;
	output->open -= frame->length;
	session->calls->on_output(session->user, stream, frame->payload, frame->length);
	return 0;
}

static int on_exit_frame(struct session *session, const struct wire_frame *frame)
{
	struct wire_exited exited;

	if (wire_unpack(&wire_exited_message, frame->payload, frame->length, &exited) < 0)
		return -EBADMSG;
	supervisor_keep_link(session->machine->supervisor, take_ptr(session->link));
	end(session, &(struct session_end){.outcome = SESSION_EXITED,
					   .code = exited.code,
					   .signal = exited.signal});
	return 0;
}

static int on_fail_frame(struct session *session, const struct wire_frame *frame)
{
	struct wire_fail failure;

	if (wire_unpack(&wire_fail_message, frame->payload, frame->length, &failure) < 0)
		return -EBADMSG;
	end(session,
	    &(struct session_end){.outcome = SESSION_REFUSED,
				  .code = failure.code,
				  .sentence = failure.text == NULL ? "the guest gave no reason"
								   : failure.text});
	return 0;
}

static int on_frame(void *user, const struct wire_frame *frame)
{
	struct session *session = user;

	switch (frame->type) {
	case WIRE_STDOUT:
	case WIRE_STDERR:
		return on_output(session, frame);
	case WIRE_CREDIT:
		return on_credit(session, frame);
	case WIRE_EXIT:
		return on_exit_frame(session, frame);
	case WIRE_FAIL:
		return on_fail_frame(session, frame);
	default:
		return 0;
	}
}

static void on_hello(void *user, const struct wire_hello *hello)
{
}

static void on_closed(void *user, int error)
{
	struct session *session = user;

	session->link = NULL;
	lose(session);
}

static void on_drained(void *user)
{
	struct session *session = user;

	if (session->calls->on_room != NULL)
		session->calls->on_room(session->user);
}

static void on_machine(struct observer *observer, enum machine_event event)
{
	struct session *session =
		(struct session *)((char *)observer - offsetof(struct session, observer));

	/* A machine is deleted only at rest, when our connection has ended; but not later. */
	if (event == MACHINE_EVENT_DELETED)
		lose(session);
}

/* ---- the time limit ---- */

static void on_timer(uv_timer_t *timer)
{
	struct session *session = timer->data;

	if (session->killed) {
		lose(session);
		return;
	}
	session->killed = true;
	session_signal(session, WIRE_SIGKILL);
	uv_timer_start(&session->timer, on_timer, EXEC_GRACE_MS, 0);
}

void session_limit_time(struct session *session, long long timeout_s)
{
	uv_timer_start(&session->timer, on_timer, (uint64_t)timeout_s * 1000, 0);
}

/* ---- beginning ---- */

int session_check(const struct machine *machine, struct err *err)
{
	if (machine->state != MACHINE_STATE_RUNNING && machine->state != MACHINE_STATE_STOPPING)
		return err_set(err, EBUSY, "machine '%s' is %s: this needs it running",
			       machine->name, machine_state_name(machine->state));
	if (machine->exec_count >= LIMIT_SESSIONS)
		return err_set(err, EUSERS, "%d sessions run in this machine already",
			       LIMIT_SESSIONS);
	return 0;
}

static int dial(struct session *session, const struct link_calls *calls)
{
	struct machine *machine = session->machine;
	_cleanup_free_ char *run_dir = machine_run_directory(machine);
	_cleanup_free_ char *path = path_join(run_dir, "ctl");

	return link_new(machine->server, path, WIRE_ROLE_SESSION, calls, session, &session->link);
}

static int start(struct session *session, struct wire_open *open, struct err *err)
{
	static const struct link_calls calls = {.on_hello = on_hello,
						.on_frame = on_frame,
						.on_closed = on_closed,
						.on_drained = on_drained};
	int r = 0;

	open->output_credit = LIMIT_WINDOW_BYTES;
	for (size_t i = 0; i < ARRAY_SIZE(session->outputs); i++)
		session->outputs[i].open = open->output_credit;
	session->input_ended = open->input_ended != 0;
	session->link = supervisor_take_link(session->machine->supervisor);
	if (session->link != NULL)
		link_hand_over(session->link, &calls, session);
	else
		r = dial(session, &calls);
	if (r < 0)
		return err_set_errno(err, -r, "cannot reach the machine");
	if (link_send(session->link, WIRE_OPEN, 0, &wire_open_message, open) < 0)
		return err_set(err, EDOM, "the command does not fit into a message");
	return 0;
}

int session_new(struct machine *machine, struct wire_open *open, const struct session_calls *calls,
		void *user, struct session **ret_session, struct err *err)
{
	struct session *session;
	int r = session_check(machine, err);

	if (r < 0)
		return r;
	session = mem_new(struct session);
	session->machine = machine;
	session->calls = calls;
	session->user = user;
	session->observer.notify = on_machine;
	machine_observe(machine, &session->observer);
	machine->exec_count++;
	uv_timer_init(machine->server->loop, &session->timer);
	session->timer.data = session;
	r = start(session, open, err);
	if (r < 0) {
		session_free(session);
		return r;
	}
	*ret_session = session;
	return 0;
}
