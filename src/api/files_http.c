/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files into and out of a running machine, as tar. The archive is read and written in the guest; here
 * its bytes pass through, at most a window of them at a time: the client is not read while the guest
 * takes no more, the guest gets its credit back when the client has taken what it sent.
 *
 * A client that stalls has the deadlines of its connection, a guest that does FILES_STALL_TIMEOUT_MS.
 * Who ends first: a guest that fails early answers before the body is there (request.h); a client that
 * goes away hangs up on the guest's copier, which then leaves nothing half-written. A failure behind
 * the first byte of an answer cuts the connection, so that nobody takes it for a whole one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/mem.h"
#include "bounds.h"
#include "find_http.h"
#include "handlers.h"
#include "machine.h"
#include "request.h"
#include "server.h"
#include "session.h"

struct transfer {
	struct request *request;
	struct session *session;
	uv_timer_t *timer;
	bool is_put;

	/* PUT. */
	struct buf input; /* of the body, not yet taken by the guest */
	bool body_ended, paused;

	/* GET. */
	size_t owed; /* written to the client and not given back as credit */

	char last_words[ERR_TEXT_BYTES_MAX]; /* the end of standard error */
	size_t last_words_length;
	uint64_t progress_ms; /* when the guest last did something, or need not */
};

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

static void transfer_free(struct transfer *transfer)
{
	session_free(transfer->session);
	uv_close((uv_handle_t *)transfer->timer, on_timer_closed);
	buf_done(&transfer->input);
	free(transfer);
}

static void on_gone(struct request *request)
{
	transfer_free(request->data);
}

static void note_progress(struct transfer *transfer)
{
	transfer->progress_ms = uv_now(transfer->request->server->loop);
}

/* ---- the end ---- */

static const struct failure {
	enum wire_copy_code code;
	int status;
	const char *name;
} failures[] = {
	{WIRE_COPY_FAILED, 422, "copy_failed"},
	{WIRE_COPY_NOT_FOUND, 404, "file_not_found"},
	{WIRE_COPY_NOT_DIRECTORY, 409, "not_a_directory"},
	{WIRE_COPY_REFUSED, 403, "file_refused"},
	{WIRE_COPY_NO_SPACE, 422, "guest_disk_full"},
	{WIRE_COPY_BROKEN, 400, "archive_broken"},
};

static const struct failure *find_failure(uint32_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		if (failures[i].code == code)
			return &failures[i];
	}
	return &failures[0];
}

static void fail(struct transfer *transfer, int status, const char *name, const char *sentence)
{
	struct request *request = transfer->request;

	transfer_free(transfer);
	if (request->streaming)
		request_abort(request);
	else
		reply_error(request, status, name, "%s", sentence);
}

static void succeed(struct transfer *transfer)
{
	struct request *request = transfer->request;
	bool is_put = transfer->is_put;

	transfer_free(transfer);
	if (is_put) {
		reply_empty(request, 204);
		return;
	}
	if (!request->streaming)
		stream_begin(request, 200, "application/x-tar");
	stream_end(request);
}

/* The last line that the copier said. */
static const char *last_line(struct transfer *transfer)
{
	char *words = transfer->last_words, *line;
	size_t length = transfer->last_words_length;

	while (length > 0 && words[length - 1] == '\n')
		length--;
	words[length] = '\0';
	line = strrchr(words, '\n');
	line = line == NULL ? words : line + 1;
	return *line == '\0' ? "the copy ended without a reason" : line;
}

static void on_end(void *user, const struct session_end *end)
{
	struct transfer *transfer = user;
	char sentence[ERR_TEXT_BYTES_MAX];
	const struct failure *failure;

	transfer->session = NULL; /* it is gone */
	switch (end->outcome) {
	case SESSION_EXITED:
		if (end->code == WIRE_COPY_DONE) {
			succeed(transfer);
			return;
		}
		failure = find_failure(end->code);
		snprintf(sentence, sizeof(sentence), "%s", last_line(transfer));
		fail(transfer, failure->status, failure->name, sentence);
		return;
	case SESSION_REFUSED:
		fail(transfer, 503, "session_refused", end->sentence);
		return;
	case SESSION_LOST:
	case SESSION_STUCK:
		fail(transfer, 409, "machine_ended", "the machine ended while files were copied");
		return;
	}
}

/* ---- guest to client ---- */

static void give_credit(struct transfer *transfer)
{
	size_t queued = request_queued_bytes(transfer->request);
	size_t left = transfer->owed - MIN(transfer->owed, queued);

	if (left == 0 || transfer->session == NULL)
		return;
	transfer->owed -= left;
	session_give_credit(transfer->session, WIRE_STREAM_STDOUT, left);
	note_progress(transfer);
}

static void keep_last_words(struct transfer *transfer, const char *data, size_t length)
{
	size_t room = sizeof(transfer->last_words) - 1, keep;

	if (length > room) {
		data += length - room;
		length = room;
	}
	keep = MIN(transfer->last_words_length, room - length);
	memmove(transfer->last_words, transfer->last_words + transfer->last_words_length - keep,
		keep);
	memcpy(transfer->last_words + keep, data, length);
	transfer->last_words_length = keep + length;
}

static void on_output(void *user, enum wire_stream stream, const void *data, size_t length)
{
	struct transfer *transfer = user;
	struct request *request = transfer->request;

	note_progress(transfer);
	if (stream == WIRE_STREAM_STDERR || transfer->is_put) {
		if (stream == WIRE_STREAM_STDERR)
			keep_last_words(transfer, data, length);
		session_give_credit(transfer->session, stream, length);
		return;
	}
	if (!request->streaming)
		stream_begin(request, 200, "application/x-tar");
	stream_write(request, data, length);
	transfer->owed += length;
	give_credit(transfer);
}

static void on_drain(struct request *request)
{
	give_credit(request->data);
}

/* ---- client to guest ---- */

/* What it can of what is there. */
static void send_input(struct transfer *transfer)
{
	size_t length = MIN(transfer->input.length, session_input_room(transfer->session));

	if (length > 0) {
		session_input(transfer->session, transfer->input.data, length);
		buf_consume(&transfer->input, length);
		note_progress(transfer);
	}
	if (transfer->input.length == 0 && transfer->body_ended)
		session_end_input(transfer->session);
}

static void on_room(void *user)
{
	struct transfer *transfer = user;

	if (!transfer->is_put)
		return;
	send_input(transfer);
	if (transfer->paused && transfer->input.length == 0) {
		transfer->paused = false;
		request_resume_body(transfer->request);
	}
}

static void on_body(struct request *request, const char *data, size_t length)
{
	struct transfer *transfer = request->data;
	size_t direct = 0;

	if (transfer->input.length == 0) {
		direct = MIN(length, session_input_room(transfer->session));
		if (direct > 0)
			session_input(transfer->session, data, direct);
		note_progress(transfer);
	}
	if (buf_append(&transfer->input, data + direct, length - direct) < 0) {
		fail(transfer, 500, "internal", "the archive came faster than it was held back");
		return;
	}
	if (transfer->input.length > 0) {
		transfer->paused = true;
		request_pause_body(request);
	}
}

static void on_body_end(struct request *request)
{
	struct transfer *transfer = request->data;

	transfer->body_ended = true;
	note_progress(transfer);
	send_input(transfer);
}

/* ---- the guest's deadline ---- */

static bool waits_for_guest(const struct transfer *transfer)
{
	return transfer->is_put ? transfer->body_ended || transfer->input.length > 0
				: transfer->owed == 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct transfer *transfer = timer->data;

	if (!waits_for_guest(transfer))
		note_progress(transfer);
	else if (uv_now(timer->loop) - transfer->progress_ms >= FILES_STALL_TIMEOUT_MS)
		fail(transfer, 408, "guest_timeout", "the guest takes too long with its files");
}

/* ---- the calls ---- */

struct files_query {
	const char *path;
	bool content;
};

static int read_query(const struct request *request, const struct query_field *fields,
		      struct files_query *query, struct err *err)
{
	int r = query_read(&request->query, fields, query, err);

	if (r < 0)
		return r;
	if (query->path == NULL || query->path[0] != '/')
		return err_set(err, EINVAL, "query: path must be given and absolute");
	if (strlen(query->path) > LIMIT_PATH_BYTES)
		return err_set(err, EINVAL, "query: path is longer than %d bytes",
			       LIMIT_PATH_BYTES);
	return 0;
}

static struct transfer *transfer_new(struct request *request, bool is_put)
{
	struct transfer *transfer = mem_new(struct transfer);

	transfer->request = request;
	transfer->is_put = is_put;
	buf_init(&transfer->input, FILES_INPUT_BYTES_MAX);
	transfer->timer = mem_new(uv_timer_t);
	uv_timer_init(request->server->loop, transfer->timer);
	transfer->timer->data = transfer;
	note_progress(transfer);
	return transfer;
}

/* The session of a transfer that begins; NULL when the request was answered. */
static struct transfer *begin(struct request *request, enum wire_kind kind,
			      const struct files_query *query)
{
	static const struct session_calls calls = {.on_output = on_output,
						   .on_room = on_room,
						   .on_end = on_end};
	_cleanup_free_ struct wire_open *open = mem_new(struct wire_open);
	struct machine *machine = find_machine(request);
	struct transfer *transfer;
	struct err err = {0};
	int r;

	if (machine == NULL)
		return NULL;
	open->kind = kind;
	open->path = query->path;
	open->entry_only = kind == WIRE_KIND_GET && !query->content;
	open->input_ended = kind == WIRE_KIND_GET;
	transfer = transfer_new(request, kind == WIRE_KIND_PUT);
	r = session_new(machine, open, &calls, transfer, &transfer->session, &err);
	if (r < 0) {
		transfer_free(transfer);
		if (r == -EUSERS)
			reply_error(request, 429, "too_many_execs", "%s", err.text);
		else
			reply_errno(request, r, &err);
		return NULL;
	}
	uv_timer_start(transfer->timer, on_timer, FILES_STALL_TICK_MS, FILES_STALL_TICK_MS);
	request->data = transfer;
	request->on_gone = on_gone;
	return transfer;
}

void files_http_get(struct request *request)
{
	static const struct query_field fields[] = {
		{"path", QUERY_BYTES, offsetof(struct files_query, path)},
		{"content", QUERY_BOOL, offsetof(struct files_query, content)},
		QUERY_FIELD_END,
	};
	struct files_query query = {.content = true};
	struct err err = {0};

	if (read_query(request, fields, &query, &err) < 0) {
		reply_error(request, 400, "invalid_query", "%s", err.text);
		return;
	}
	if (begin(request, WIRE_KIND_GET, &query) != NULL)
		request->on_drain = on_drain;
}

void files_http_put(struct request *request)
{
	static const struct query_field fields[] = {
		{"path", QUERY_BYTES, offsetof(struct files_query, path)},
		QUERY_FIELD_END,
	};
	struct files_query query = {0};
	struct err err = {0};

	if (read_query(request, fields, &query, &err) < 0) {
		reply_error(request, 400, "invalid_query", "%s", err.text);
		return;
	}
	if (!request->has_body) {
		reply_error(request, 400, "missing_body", "send the archive as the body");
		return;
	}
	if (begin(request, WIRE_KIND_PUT, &query) == NULL)
		return;
	request->on_body = on_body;
	request->on_body_end = on_body_end;
}
