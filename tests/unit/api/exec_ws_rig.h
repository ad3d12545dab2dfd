/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_ws.c between a client and a session that are both made up: what it does to either is kept here
 * and checked. No socket, no machine, no clock but what a test says.
 */
#ifndef TESTS_EXEC_WS_RIG_H
#define TESTS_EXEC_WS_RIG_H

/* What stands in for the session and for the connection. */
#define exec_spec_start      rig_exec_spec_start
#define machines_find        rig_machines_find
#define session_check        rig_session_check
#define session_free         rig_session_free
#define session_input_room   rig_session_input_room
#define session_input        rig_session_input
#define session_end_input    rig_session_end_input
#define session_give_credit  rig_session_give_credit
#define session_has_room     rig_session_has_room
#define session_signal       rig_session_signal
#define session_resize       rig_session_resize
#define request_queued_bytes rig_request_queued_bytes
#define request_pause_body   rig_request_pause_body
#define request_resume_body  rig_request_resume_body
#define request_abort        rig_request_abort
#define upgrade_begin        rig_upgrade_begin
#define upgrade_write        rig_upgrade_write
#define upgrade_end          rig_upgrade_end
#define exec_ws_open         rig_exec_ws_open

#include "exec_ws.c"

#include <assert.h>

struct session {
	const struct session_calls *calls;
	void *user;
	char *cmd; /* the first word */
	bool tty;
	long long rows, columns;
	struct buf input;
	size_t room; /* for input */
	bool has_room, input_ended;
	size_t unpaid; /* output that got no credit yet, of both streams */
	unsigned signals, resizes;
	int signal;
	uint32_t new_rows, new_columns;
};

struct rig {
	uv_loop_t loop;
	struct server server;
	struct machine machine;
	struct request *request; /* NULL: ended */
	struct session *session; /* NULL: none, or freed */
	bool is_gone;            /* the machine */
	bool paused, aborted;
	struct buf written; /* to the client */
	size_t queued;      /* of it, so the rig says, not taken */
	size_t room;        /* of a session that begins */
};

static struct rig rig;

#define RIG_WRITTEN_MAX (4 * MIB)
#define RIG_INPUT_MAX   (4 * MIB)

int rig_exec_spec_start(const struct exec_spec *spec, struct machine *machine,
			const struct session_calls *calls, void *user, struct session **ret_session,
			struct err *err)
{
	assert(rig.session == NULL && machine == &rig.machine);
	if (strcmp(spec->cmd[0], "refused") == 0)
		return err_set(err, EBUSY, "refused");
	rig.session = mem_new(struct session);
	rig.session->calls = calls;
	rig.session->user = user;
	rig.session->cmd = mem_strdup(spec->cmd[0]);
	rig.session->tty = spec->tty;
	rig.session->rows = spec->rows;
	rig.session->columns = spec->columns;
	rig.session->room = rig.room;
	rig.session->has_room = true;
	buf_init(&rig.session->input, RIG_INPUT_MAX);
	*ret_session = rig.session;
	return 0;
}

int rig_machines_find(const struct machines *machines, const char *reference,
		      struct machine **ret_machine)
{
	assert(strcmp(reference, rig.machine.id) == 0);
	*ret_machine = &rig.machine;
	return rig.is_gone ? -ENOENT : 0;
}

int rig_session_check(const struct machine *machine, struct err *err)
{
	return 0;
}

void rig_session_free(struct session *session)
{
	if (session == NULL)
		return;
	assert(session == rig.session);
	rig.session = NULL;
	buf_done(&session->input);
	free(session->cmd);
	free(session);
}

size_t rig_session_input_room(const struct session *session)
{
	return session->input_ended ? 0 : session->room;
}

void rig_session_input(struct session *session, const void *data, size_t length)
{
	assert(session == rig.session && length <= session->room && !session->input_ended);
	session->room -= length;
	if (buf_append(&session->input, data, length) < 0)
		buf_clear(&session->input);
}

void rig_session_end_input(struct session *session)
{
	assert(session == rig.session);
	session->input_ended = true;
}

void rig_session_give_credit(struct session *session, enum wire_stream stream, size_t length)
{
	assert(session == rig.session && length <= session->unpaid);
	session->unpaid -= length;
}

bool rig_session_has_room(const struct session *session)
{
	return session->has_room;
}

void rig_session_signal(struct session *session, int signal)
{
	assert(session == rig.session && signal >= 1 && signal <= WIRE_SIGNAL_MAX);
	session->signals++;
	session->signal = signal;
}

void rig_session_resize(struct session *session, uint32_t rows, uint32_t columns)
{
	assert(session == rig.session && rows - 1 < EXEC_WINDOW_MAX &&
	       columns - 1 < EXEC_WINDOW_MAX);
	session->resizes++;
	session->new_rows = rows;
	session->new_columns = columns;
}

size_t rig_request_queued_bytes(const struct request *request)
{
	return rig.queued;
}

void rig_request_pause_body(struct request *request)
{
	rig.paused = true;
}

void rig_request_resume_body(struct request *request)
{
	rig.paused = false;
}

void rig_request_abort(struct request *request)
{
	rig.aborted = true;
	request_free(rig.request);
	rig.request = NULL;
}

void rig_upgrade_begin(struct request *request, const char *headers)
{
}

void rig_upgrade_write(struct request *request, const uv_buf_t *parts, unsigned count)
{
	assert(request == rig.request);
	for (unsigned i = 0; i < count; i++) {
		assert(parts[i].len > 0);
		if (buf_append(&rig.written, parts[i].base, parts[i].len) < 0)
			buf_clear(&rig.written);
	}
}

void rig_upgrade_end(struct request *request)
{
	assert(request == rig.request);
	request_free(request);
	rig.request = NULL;
}

/* A client behind its handshake. */
static void rig_begin(size_t room)
{
	rig = (struct rig){.room = room};
	uv_loop_init(&rig.loop);
	rig.server.loop = &rig.loop;
	strcpy(rig.machine.id, "01920000-0000-7000-8000-000000000000");
	buf_init(&rig.written, RIG_WRITTEN_MAX);
	rig.request = mem_new(struct request);
	rig.request->server = &rig.server;
	strcpy(rig.request->id, "0-1");
	begin(rig.request, &rig.machine, "");
}

/* The client goes, if it has not; everything is freed. */
static void rig_end(void)
{
	if (rig.request != NULL) {
		rig.request->on_gone(rig.request);
		request_free(rig.request);
	}
	assert(rig.session == NULL);
	buf_done(&rig.written);
	uv_run(&rig.loop, UV_RUN_DEFAULT);
	assert(uv_loop_close(&rig.loop) == 0);
}

/* Bytes of the client, as the connection gives them; how many were taken. */
static size_t rig_feed(const void *data, size_t length)
{
	size_t used_total = 0;

	while (rig.request != NULL && !rig.paused && used_total < length) {
		size_t used = rig.request->on_bytes(rig.request, (const char *)data + used_total,
						    length - used_total);

		assert(used > 0 || rig.paused);
		used_total += used;
	}
	return used_total;
}

/* The guest takes so much more. */
static void rig_make_room(size_t room)
{
	rig.session->room += room;
	rig.session->calls->on_room(rig.session->user);
}

static void rig_output(enum wire_stream stream, const void *data, size_t length)
{
	rig.session->unpaid += length;
	rig.session->calls->on_output(rig.session->user, stream, data, length);
}

static void rig_exit(const struct session_end *end)
{
	struct session *session = rig.session;

	session->calls->on_end(session->user, end);
	rig_session_free(session);
}

#endif
