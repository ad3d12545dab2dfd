/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "find_http.h"
#include "handlers.h"
#include "logs.h"
#include "machine.h"
#include "request.h"
#include "server.h"
#include "turn.h"

/* A slice as NDJSON at its worst: every byte as six, and a head for each two-byte line. */
#define SLICE_OUTPUT_BYTES_MAX (1 * MIB)

struct logs_query {
	bool follow, timestamps;
	long long tail;
	int64_t since_ns, until_ns;
	const char *sources;
};

/*
 * One client and the log that it gets. It steps through the log while the client takes it; at the
 * end it leaves, or waits for LOGGED, as long as the machine lives.
 */
struct follower {
	struct request *request;
	struct observer observer; /* of the machine, while following */
	struct turn turn;
	struct logs_reader reader;
	struct buf out;    /* of one step */
	uv_timer_t *until; /* ends a follower that has one */
	bool follow, ndjson, timestamps;
	bool mid_line[3]; /* by enum log_stream: the last record was a part of a line */
	bool draining;    /* the client has more than it takes */
	bool machine_ended;
};

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

static void follower_free(struct follower *follower)
{
	machine_unobserve(&follower->observer);
	turn_cancel(&follower->turn);
	logs_close(&follower->reader);
	buf_done(&follower->out);
	if (follower->until != NULL)
		uv_close((uv_handle_t *)follower->until, on_timer_closed);
	free(follower);
}

static void end(struct follower *follower)
{
	struct request *request = follower->request;

	follower_free(follower);
	stream_end(request);
}

static void on_gone(struct request *request)
{
	follower_free(request->data);
}

/* ---- records to bytes; what does not fit is dropped with the record ---- */

static int write_json(struct follower *follower, const struct log_record *record)
{
	struct jsonw w;
	int r;

	jsonw_init(&w, &follower->out);
	jsonw_object_begin(&w, NULL);
	jsonw_time(&w, "time", record->realtime_ns);
	jsonw_string(&w, "stream", log_stream_name(record->stream));
	jsonw_bool(&w, "partial", record->partial);
	jsonw_string_bytes(&w, "text", record->text, record->length);
	jsonw_object_end(&w);
	r = jsonw_finish(&w);
	return r < 0 ? r : buf_append_char(&follower->out, '\n');
}

static int write_text(struct follower *follower, const struct log_record *record)
{
	char time[CLOCK_RFC3339_BYTES];
	int r = 0;

	if (follower->timestamps && !follower->mid_line[record->stream]) {
		clock_format_rfc3339(record->realtime_ns, time);
		r = buf_printf(&follower->out, "%s ", time);
	}
	follower->mid_line[record->stream] = record->partial;
	if (r >= 0)
		r = buf_append(&follower->out, record->text, record->length);
	if (r >= 0 && !record->partial)
		r = buf_append_char(&follower->out, '\n');
	return r;
}

static void on_record(void *user, const struct log_record *record)
{
	struct follower *follower = user;
	size_t before = follower->out.length;
	int r = follower->ndjson ? write_json(follower, record) : write_text(follower, record);

	if (r < 0)
		follower->out.length = before;
}

/* ---- stepping ---- */

static void step(struct follower *follower)
{
	struct server *server = follower->request->server;
	bool room = true;
	int outcome;

	if (follower->draining)
		return;
	outcome = logs_step(&follower->reader, server->log_buffer, on_record, follower);
	if (follower->out.length > 0) {
		room = stream_write(follower->request, follower->out.data, follower->out.length);
		buf_done(&follower->out);
		buf_init(&follower->out, SLICE_OUTPUT_BYTES_MAX);
	}
	if (outcome < 0) {
		log_error("reading the log below '%s': %s", follower->reader.directory,
			  strerror(-outcome));
		end(follower);
	} else if (outcome == LOGS_PAST ||
		   (outcome == LOGS_END && (!follower->follow || follower->machine_ended))) {
		end(follower);
	} else if (!room) {
		follower->draining = true;
	} else if (outcome == LOGS_MORE) {
		turn_later(server, &follower->turn);
	}
}

static void on_turn(struct turn *turn)
{
	step((struct follower *)((char *)turn - offsetof(struct follower, turn)));
}

static void on_drain(struct request *request)
{
	struct follower *follower = request->data;

	if (!follower->draining)
		return;
	follower->draining = false;
	step(follower);
}

static void on_machine(struct observer *observer, enum machine_event event)
{
	struct follower *follower =
		(struct follower *)((char *)observer - offsetof(struct follower, observer));

	if (event == MACHINE_EVENT_DELETED) {
		end(follower);
		return;
	}
	if (event == MACHINE_EVENT_CHANGED) {
		if (!machine_has_ended(observer->machine))
			return;
		/* Whatever was logged is there now: read it, then end. */
		follower->machine_ended = true;
	}
	turn_later(follower->request->server, &follower->turn);
}

static void on_until(uv_timer_t *timer)
{
	end(timer->data);
}

/* Nothing that comes after `until` is wanted, so there is no point in waiting longer. */
static void set_until(struct follower *follower, int64_t until_ns)
{
	int64_t left_ns = until_ns - clock_realtime_ns();

	if (until_ns == 0 || !follower->follow)
		return;
	if (left_ns <= 0) {
		follower->follow = false;
		return;
	}
	follower->until = mem_new(uv_timer_t);
	uv_timer_init(follower->request->server->loop, follower->until);
	follower->until->data = follower;
	uv_timer_start(follower->until, on_until,
		       MIN((uint64_t)left_ns / CLOCK_NS_PER_MS + 1, (uint64_t)INT32_MAX), 0);
}

/* ---- the call ---- */

/* "stdout,stderr"; -EINVAL. */
static int parse_sources(const char *text, unsigned *ret_streams, struct err *err)
{
	unsigned streams = 0;

	if (text == NULL) {
		*ret_streams = LOGS_STREAM_ALL;
		return 0;
	}
	for (;;) {
		size_t length = strcspn(text, ",");
		enum log_stream stream;

		if (log_stream_parse(text, length, &stream) < 0)
			return err_set(err, EINVAL,
				       "query: source must be stdout, stderr or console, several "
				       "separated by commas");
		streams |= 1U << stream;
		text += length;
		if (*text == '\0')
			break;
		text++;
	}
	*ret_streams = streams;
	return 0;
}

static int read_query(const struct request *request, struct logs_query *query,
		      struct logs_filter *filter, struct err *err)
{
	static const struct query_field fields[] = {
		{"follow", QUERY_BOOL, offsetof(struct logs_query, follow)},
		{"timestamps", QUERY_BOOL, offsetof(struct logs_query, timestamps)},
		{"tail", QUERY_INT, offsetof(struct logs_query, tail), 0, LOG_TAIL_MAX},
		{"since", QUERY_TIME, offsetof(struct logs_query, since_ns)},
		{"until", QUERY_TIME, offsetof(struct logs_query, until_ns)},
		{"source", QUERY_TEXT, offsetof(struct logs_query, sources)},
		QUERY_FIELD_END,
	};
	int r;

	*query = (struct logs_query){.tail = LOGS_TAIL_WHOLE};
	r = query_read(&request->query, fields, query, err);
	if (r >= 0)
		r = parse_sources(query->sources, &filter->streams, err);
	filter->since_ns = query->since_ns;
	filter->until_ns = query->until_ns;
	return r;
}

void logs_http_get(struct request *request)
{
	struct logs_filter filter;
	struct logs_query query;
	struct machine *machine = find_machine(request);
	struct follower *follower;
	_cleanup_free_ char *directory = NULL, *log_directory = NULL;
	struct err err = {0};

	if (machine == NULL)
		return;
	if (read_query(request, &query, &filter, &err) < 0) {
		reply_error(request, 400, "invalid_query", "%s", err.text);
		return;
	}
	directory = machine_directory(machine);
	log_directory = path_join(directory, LOG_DIRECTORY);
	follower = mem_new(struct follower);
	follower->request = request;
	follower->turn.run = on_turn;
	follower->observer.notify = on_machine;
	follower->follow = query.follow && !machine_has_ended(machine);
	follower->observer.holds_removal = true;
	follower->timestamps = query.timestamps;
	follower->ndjson = request->wants_ndjson;
	buf_init(&follower->out, SLICE_OUTPUT_BYTES_MAX);
	logs_open(&follower->reader, log_directory, &filter, query.tail);
	if (follower->follow)
		machine_observe(machine, &follower->observer);
	set_until(follower, query.until_ns);
	request->data = follower;
	request->on_gone = on_gone;
	request->on_drain = on_drain;
	stream_begin(request, 200,
		     follower->ndjson ? "application/x-ndjson" : "text/plain; charset=utf-8");
	turn_later(request->server, &follower->turn);
}
