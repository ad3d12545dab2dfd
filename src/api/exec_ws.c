/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command in a machine over WebSocket. docs/openapi.yaml has the messages. A connection is in one
 * phase:
 *
 *	OPENING	the first message is awaited: what to run		at most EXEC_OPEN_TIMEOUT_MS
 *	RUNNING	messages both ways; a client from which nothing at all comes, not even the answer to a
 *		ping, is gone after EXEC_SILENCE_TIMEOUT_MS
 *	CLOSING	our close is written, the client's is awaited		at most EXEC_CLOSE_TIMEOUT_MS
 *
 * Nothing piles up in either direction: output gets its credit back when the client has taken it
 * (session.h), and the client is not read while the guest takes no more input.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "bounds.h"
#include "exec_spec.h"
#include "find_http.h"
#include "handlers.h"
#include "machine.h"
#include "request.h"
#include "server.h"
#include "websocket.h"
#include "wire/exec_channel.h"
#include "wire/signal.h"

enum phase {
	PHASE_OPENING,
	PHASE_RUNNING,
	PHASE_CLOSING,
};

struct exec_ws {
	struct request *request;
	struct server *server;
	char machine_id[MACHINE_ID_BYTES]; /* until the first message it may go */
	enum phase phase;
	struct websocket *websocket;
	struct session *session; /* RUNNING */
	uv_timer_t *timer;
	struct buf input; /* of the client, not yet taken by the guest */
	bool input_ended; /* by the client */
	bool paused;      /* the client */
	size_t owed[2];   /* written to the client and not given back as credit, by stream - 1 */
	uint64_t heard_ms;
};

/* ---- the end ---- */

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

static void exec_ws_free(struct exec_ws *ws)
{
	session_free(ws->session);
	websocket_free(ws->websocket);
	uv_close((uv_handle_t *)ws->timer, on_timer_closed);
	buf_done(&ws->input);
	free(ws);
}

static void finish(struct exec_ws *ws)
{
	struct request *request = ws->request;

	exec_ws_free(ws);
	upgrade_end(request);
}

static void on_gone(struct request *request)
{
	exec_ws_free(request->data);
}

static void on_timer(uv_timer_t *timer);

static void set_paused(struct exec_ws *ws, bool paused)
{
	ws->paused = paused;
	websocket_pause(ws->websocket, paused);
}

/*
 * Says goodbye. What the guest still does, it does for nobody. A client that is held back must be let
 * go on afterwards, so that its own close is seen.
 */
static void close_with(struct exec_ws *ws, enum websocket_status status, const char *sentence)
{
	if (ws->phase == PHASE_CLOSING)
		return;
	ws->phase = PHASE_CLOSING;
	session_free(ws->session);
	ws->session = NULL;
	set_paused(ws, false);
	websocket_close(ws->websocket, status, sentence);
	uv_timer_start(ws->timer, on_timer, EXEC_CLOSE_TIMEOUT_MS, 0);
}

/* ---- channel 3 ---- */

struct verdict {
	bool has_code;
	uint32_t code, signal;
	bool timed_out;
	const char *error_code, *sentence; /* NULL: none */
};

static void send_verdict(struct exec_ws *ws, const struct verdict *verdict)
{
	_cleanup_buf_ struct buf out;
	struct jsonw w;

	buf_init(&out, 64 * KIB);
	jsonw_init(&w, &out);
	jsonw_object_begin(&w, NULL);
	if (verdict->has_code) {
		jsonw_int(&w, "exit_code", verdict->code);
		if (verdict->signal == 0)
			jsonw_null(&w, "signal");
		else
			jsonw_int(&w, "signal", verdict->signal);
	}
	if (verdict->timed_out)
		jsonw_bool(&w, "timed_out", true);
	if (verdict->sentence != NULL) {
		jsonw_string(&w, "error", verdict->sentence);
		jsonw_string(&w, "code", verdict->error_code);
		jsonw_string(&w, "request_id", ws->request->id);
	}
	jsonw_object_end(&w);
	if (jsonw_finish(&w) < 0) {
		close_with(ws, WEBSOCKET_INTERNAL, "the result is too large");
		return;
	}
	websocket_send(ws->websocket, EXEC_CHANNEL_EXIT, out.data, out.length);
	close_with(ws, WEBSOCKET_NORMAL, "");
}

static void on_end(void *user, const struct session_end *end)
{
	struct exec_ws *ws = user;
	struct verdict verdict = {.code = end->code,
				  .signal = end->signal,
				  .timed_out = end->timed_out,
				  .sentence = end->sentence};

	ws->session = NULL; /* it is gone */
	switch (end->outcome) {
	case SESSION_EXITED:
		verdict.has_code = true;
		verdict.sentence = NULL;
		break;
	case SESSION_REFUSED:
		verdict.has_code = true;
		verdict.error_code = end->code == 127   ? "command_not_found"
				     : end->code == 126 ? "command_not_executable"
							: "exec_failed";
		break;
	case SESSION_LOST:
		verdict.error_code = "machine_ended";
		break;
	case SESSION_STUCK:
		verdict.error_code = "exec_timeout";
		break;
	}
	send_verdict(ws, &verdict);
	request_resume_body(ws->request);
}

/* ---- guest to client ---- */

/* Gives back what has left: all that was written less what is queued. */
static void give_credit(struct exec_ws *ws)
{
	size_t queued = request_queued_bytes(ws->request);
	size_t left = ws->owed[0] + ws->owed[1];

	left -= MIN(left, queued);
	for (size_t i = 0; i < ARRAY_SIZE(ws->owed) && ws->session != NULL; i++) {
		size_t bytes = MIN(left, ws->owed[i]);

		ws->owed[i] -= bytes;
		left -= bytes;
		session_give_credit(ws->session, i == 0 ? WIRE_STREAM_STDOUT : WIRE_STREAM_STDERR,
				    bytes);
	}
}

static void on_output(void *user, enum wire_stream stream, const void *data, size_t length)
{
	struct exec_ws *ws = user;
	bool is_errors = stream == WIRE_STREAM_STDERR;

	websocket_send(ws->websocket, is_errors ? EXEC_CHANNEL_STDERR : EXEC_CHANNEL_STDOUT, data,
		       length);
	ws->owed[is_errors] += length;
	give_credit(ws);
}

static void on_drain(struct request *request)
{
	give_credit(request->data);
}

/* ---- client to guest ---- */

static void send_input(struct exec_ws *ws)
{
	size_t length = MIN(ws->input.length, session_input_room(ws->session));

	if (length > 0)
		session_input(ws->session, ws->input.data, length);
	buf_consume(&ws->input, length);
	if (ws->input.length > 0)
		return;
	buf_done(&ws->input);
	buf_init(&ws->input, EXEC_INPUT_BYTES_MAX);
	if (ws->input_ended)
		session_end_input(ws->session);
}

static void update_pause(struct exec_ws *ws)
{
	if (ws->phase == PHASE_RUNNING)
		set_paused(ws, ws->input.length > 0 || !session_has_room(ws->session));
}

static void take_input(struct exec_ws *ws, const uint8_t *data, size_t length)
{
	size_t direct = 0;

	if (ws->input_ended) {
		close_with(ws, WEBSOCKET_POLICY, "channel 0 is closed already");
		return;
	}
	if (ws->input.length == 0) {
		direct = MIN(length, session_input_room(ws->session));
		if (direct > 0)
			session_input(ws->session, data, direct);
	}
	if (buf_append(&ws->input, data + direct, length - direct) < 0)
		close_with(ws, WEBSOCKET_INTERNAL, "input came faster than it was held back");
}

static const char not_a_window[] =
	"channel 4 takes {\"width\": 1 to 65535, \"height\": 1 to 65535}";

static void take_resize(struct exec_ws *ws, const uint8_t *data, size_t length)
{
	struct window {
		long long width, height;
	} window = {0};
	static const struct json_field fields[] = {
		{"width", JSON_WANT_INT, offsetof(struct window, width), .required = true, .min = 1,
		 .max = EXEC_WINDOW_MAX},
		{"height", JSON_WANT_INT, offsetof(struct window, height), .required = true,
		 .min = 1, .max = EXEC_WINDOW_MAX},
		JSON_FIELD_END,
	};
	_cleanup_json_ json_t *value = NULL;

	if (json_parse((const char *)data, length, &value, NULL) < 0)
		close_with(ws, WEBSOCKET_BAD_DATA, not_a_window);
	else if (json_read(value, "", fields, &window, NULL) < 0)
		close_with(ws, WEBSOCKET_POLICY, not_a_window);
	else
		session_resize(ws->session, (uint32_t)window.height, (uint32_t)window.width);
}

static void take_close(struct exec_ws *ws, const uint8_t *data, size_t length)
{
	if (length != 1 || data[0] != EXEC_CHANNEL_STDIN) {
		close_with(ws, WEBSOCKET_POLICY, "channel 255 closes channel 0 and no other");
		return;
	}
	ws->input_ended = true;
	send_input(ws);
}

static void take_binary(struct exec_ws *ws, const uint8_t *data, size_t length)
{
	static const struct {
		uint8_t channel;
		void (*take)(struct exec_ws *ws, const uint8_t *data, size_t length);
	} channels[] = {
		{EXEC_CHANNEL_STDIN, take_input},
		{EXEC_CHANNEL_RESIZE, take_resize},
		{EXEC_CHANNEL_CLOSE, take_close},
	};

	for (size_t i = 0; i < ARRAY_SIZE(channels) && length > 0; i++) {
		if (channels[i].channel == data[0]) {
			channels[i].take(ws, data + 1, length - 1);
			return;
		}
	}
	close_with(ws, WEBSOCKET_POLICY,
		   "a binary message begins with its channel: 0 input, 4 resize, 255 close");
}

static void take_text(struct exec_ws *ws, const char *text, size_t length)
{
	struct order {
		char *signal;
	} order = {0};
	static const struct json_field fields[] = {
		{"signal", JSON_WANT_STRING, offsetof(struct order, signal), .required = true},
		JSON_FIELD_END,
	};
	_cleanup_json_ json_t *value = NULL;
	int number = -EINVAL;

	if (json_parse(text, length, &value, NULL) < 0) {
		close_with(ws, WEBSOCKET_BAD_DATA, "a text message is a JSON object");
		return;
	}
	if (json_read(value, "", fields, &order, NULL) >= 0)
		number = wire_signal_parse(order.signal);
	free(order.signal);
	if (number < 0)
		close_with(
			ws, WEBSOCKET_POLICY,
			"a text message behind the first is {\"signal\": \"SIGINT\"} or the like");
	else
		session_signal(ws->session, number);
}

/* The guest takes more: so may we. */
static void on_room(void *user)
{
	struct exec_ws *ws = user;

	send_input(ws);
	if (!ws->paused)
		return;
	update_pause(ws);
	if (ws->paused)
		return;
	/* What wslay has read ahead, which may pause it again; then what the connection has. */
	websocket_feed(ws->websocket, NULL, 0);
	if (websocket_is_over(ws->websocket))
		finish(ws);
	else if (!ws->paused)
		request_resume_body(ws->request);
}

/* ---- the first message ---- */

static const char *refusal_code(int r)
{
	static const struct {
		int errnum;
		const char *code;
	} codes[] = {
		{EINVAL, "invalid_request"}, {EDOM, "invalid_value"},       {EBUSY, "wrong_state"},
		{EUSERS, "too_many_execs"},  {ENOENT, "machine_not_found"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (codes[i].errnum == -r)
			return codes[i].code;
	}
	return "internal";
}

static int start_session(struct exec_ws *ws, const char *text, size_t length, struct err *err)
{
	static const struct session_calls calls = {.on_output = on_output,
						   .on_room = on_room,
						   .on_end = on_end};
	_cleanup_(exec_spec_done) struct exec_spec spec = {0};
	struct machine *machine;
	int r = exec_spec_read(&spec, true, text, length, err);

	if (r < 0)
		return r;
	if (machines_find(&ws->server->machines, ws->machine_id, &machine) < 0)
		return err_set(err, ENOENT, "the machine is not there any more");
	return exec_spec_start(&spec, machine, &calls, ws, &ws->session, err);
}

static void take_first(struct exec_ws *ws, bool text, const char *data, size_t length)
{
	struct err err = {0};
	int r;

	if (!text) {
		close_with(ws, WEBSOCKET_POLICY,
			   "the first message is text: the JSON of what to run");
		return;
	}
	r = start_session(ws, data, length, &err);
	if (r < 0) {
		send_verdict(ws, &(struct verdict){.error_code = refusal_code(r),
						   .sentence = err.text});
		return;
	}
	ws->phase = PHASE_RUNNING;
	websocket_limit_message(ws->websocket, EXEC_MESSAGE_BYTES_MAX);
	uv_timer_start(ws->timer, on_timer, EXEC_PING_INTERVAL_MS, EXEC_PING_INTERVAL_MS);
}

static void on_message(void *user, bool text, const uint8_t *data, size_t length)
{
	struct exec_ws *ws = user;

	switch (ws->phase) {
	case PHASE_OPENING:
		take_first(ws, text, (const char *)data, length);
		break;
	case PHASE_RUNNING:
		if (text)
			take_text(ws, (const char *)data, length);
		else
			take_binary(ws, data, length);
		update_pause(ws);
		break;
	case PHASE_CLOSING:
		break;
	}
}

/* ---- the connection ---- */

static void on_write(void *user, const uv_buf_t *parts, unsigned count)
{
	struct exec_ws *ws = user;

	upgrade_write(ws->request, parts, count);
}

static size_t on_bytes(struct request *request, const char *data, size_t length)
{
	struct exec_ws *ws = request->data;
	size_t used;

	ws->heard_ms = uv_now(ws->server->loop);
	used = websocket_feed(ws->websocket, data, length);
	if (websocket_is_over(ws->websocket)) {
		finish(ws);
		return length;
	}
	if (ws->paused)
		request_pause_body(request);
	return used;
}

static void on_timer(uv_timer_t *timer)
{
	struct exec_ws *ws = timer->data;
	struct request *request = ws->request;
	uint64_t silent_ms = uv_now(ws->server->loop) - ws->heard_ms;

	switch (ws->phase) {
	case PHASE_OPENING:
		close_with(ws, WEBSOCKET_POLICY, "the first message did not come");
		break;
	case PHASE_RUNNING:
		/* One that we do not read cannot be heard. */
		if (ws->paused) {
			ws->heard_ms = uv_now(ws->server->loop);
		} else if (silent_ms >= EXEC_SILENCE_TIMEOUT_MS) {
			exec_ws_free(ws);
			request_abort(request);
		} else if (silent_ms >= EXEC_PING_INTERVAL_MS / 2) {
			websocket_ping(ws->websocket);
		}
		break;
	case PHASE_CLOSING:
		/* As long as it takes output there is hope: the connection has a deadline for that. */
		if (request_queued_bytes(request) > 0)
			uv_timer_start(timer, on_timer, EXEC_CLOSE_TIMEOUT_MS, 0);
		else
			finish(ws);
		break;
	}
}

/* ---- the handshake ---- */

/* Answers and is false when this is none. */
static bool check_handshake(struct request *request, char accept[WEBSOCKET_ACCEPT_BYTES])
{
	if (request->upgrade == NULL || strcasecmp(request->upgrade, "websocket") != 0) {
		reply_upgrade_required(request, "come by WebSocket (Connection: Upgrade, Upgrade: "
						"websocket), or POST for a command without one");
		return false;
	}
	if (request->websocket_version == NULL ||
	    strcmp(request->websocket_version, WEBSOCKET_VERSION) != 0) {
		reply_upgrade_required(request, "Sec-WebSocket-Version must be 13");
		return false;
	}
	if (request->websocket_key == NULL ||
	    websocket_accept(request->websocket_key, accept) < 0) {
		reply_error(request, 400, "bad_websocket_key",
			    "Sec-WebSocket-Key must be 16 bytes in base64");
		return false;
	}
	return true;
}

static void begin(struct request *request, const struct machine *machine, const char *accept)
{
	static const struct websocket_calls calls = {.on_message = on_message, .write = on_write};
	struct exec_ws *ws = mem_new(struct exec_ws);
	char headers[128];

	ws->request = request;
	ws->server = request->server;
	memcpy(ws->machine_id, machine->id, sizeof(ws->machine_id));
	ws->websocket = websocket_new(EXEC_FIRST_MESSAGE_BYTES_MAX, &calls, ws);
	ws->heard_ms = uv_now(ws->server->loop);
	buf_init(&ws->input, EXEC_INPUT_BYTES_MAX);
	ws->timer = mem_new(uv_timer_t);
	uv_timer_init(ws->server->loop, ws->timer);
	ws->timer->data = ws;
	uv_timer_start(ws->timer, on_timer, EXEC_OPEN_TIMEOUT_MS, 0);
	request->data = ws;
	request->on_gone = on_gone;
	request->on_drain = on_drain;
	request->on_bytes = on_bytes;
	snprintf(headers, sizeof(headers), "Upgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n",
		 accept);
	upgrade_begin(request, headers);
}

void exec_ws_open(struct request *request)
{
	struct machine *machine = find_machine(request);
	char accept[WEBSOCKET_ACCEPT_BYTES];
	struct err err = {0};
	int r;

	if (machine == NULL || !check_handshake(request, accept))
		return;
	r = session_check(machine, &err);
	if (r == -EUSERS)
		reply_error(request, 429, "too_many_execs", "%s", err.text);
	else if (r < 0)
		reply_errno(request, r, &err);
	else
		begin(request, machine, accept);
}
