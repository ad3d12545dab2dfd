/* SPDX-License-Identifier: Apache-2.0 */
#include "lifecycle_http.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "bounds.h"
#include "find_http.h"
#include "handlers.h"
#include "machine.h"
#include "request.h"
#include "routes.h"
#include "wire/signal.h"

/* ---- waiting ---- */

static void on_wait_end(void *user, enum wait_outcome outcome, const struct machine *machine)
{
	struct request *request = user;

	switch (outcome) {
	case WAIT_REACHED:
		reply_machine(request,
			      request->method == HTTP_METHOD_POST &&
					      strcmp(request->route->operation, "createMachine") ==
						      0
				      ? 201
				      : 200,
			      machine);
		return;
	case WAIT_FAILED:
		reply_error(request, 409, "machine_failed", "machine '%s' failed: %s",
			    machine->name,
			    machine->reason == NULL ? "no reason is known" : machine->reason);
		return;
	case WAIT_NEVER:
		reply_error(request, 409, "wrong_state",
			    "machine '%s' was stopped before it was ready", machine->name);
		return;
	case WAIT_DELETED:
		reply_error(request, 404, "machine_not_found", "machine '%s' was deleted",
			    machine->name);
		return;
	case WAIT_TIMEOUT:
		reply_error(request, 408, "wait_timeout",
			    "machine '%s' is %s: not what was waited for", machine->name,
			    machine_state_name(machine->state));
		return;
	}
}

static void on_wait_gone(struct request *request)
{
	waiter_free(request->data);
}

void wait_and_reply(struct request *request, struct machine *machine, enum wait_target target,
		    long long timeout_ms)
{
	request->on_gone = on_wait_gone;
	waiter_new(machine, target, timeout_ms, on_wait_end, request,
		   (struct waiter **)&request->data);
}

static const struct query_field start_query_fields[] = {
	{"wait", QUERY_TEXT, offsetof(struct start_query, wait)},
	{"timeout", QUERY_SECONDS, offsetof(struct start_query, timeout_ms), 0, WAIT_TIMEOUT_S_MAX},
	QUERY_FIELD_END,
};

int start_query_read(const struct request *request, const struct query_field *fields,
		     struct start_query *query, struct err *err)
{
	int r;

	*query = (struct start_query){.timeout_ms = START_TIMEOUT_S_USUAL * 1000LL};
	r = query_read(&request->query, fields, query, err);
	if (r >= 0 && query->wait != NULL && strcmp(query->wait, "ready") != 0)
		return err_set(err, EINVAL, "query: wait must be 'ready'");
	return r;
}

/* Starts it and answers, at once or when it is ready. */
void start_and_reply(struct request *request, struct machine *machine,
		     const struct start_query *query, int status)
{
	struct err err = {0};
	int r = machine_start(machine, &err);

	if (r == -EBUSY)
		reply_error(request, 409, "wrong_state", "%s", err.text);
	else if (r == -ETXTBSY)
		reply_error(request, 409, "volume_in_use", "%s", err.text);
	else if (r == -EDOM)
		reply_error(request, 422, "invalid_value", "%s", err.text);
	else if (r == -EAGAIN)
		reply_error(request, 503, "at_capacity", "%s", err.text);
	else if (r < 0)
		reply_error(request, 503, r == -ENOSPC ? "disk_full" : "start_failed", "%s",
			    err.text);
	else if (query->wait != NULL)
		wait_and_reply(request, machine, WAIT_READY, query->timeout_ms);
	else
		reply_machine(request, status, machine);
}

/* ---- start, stop ---- */

void machines_http_start(struct request *request)
{
	struct machine *machine = find_machine(request);
	struct start_query query;
	struct err err = {0};

	if (machine == NULL)
		return;
	if (start_query_read(request, start_query_fields, &query, &err) < 0) {
		reply_error(request, 400, "invalid_query", "%s", err.text);
		return;
	}
	start_and_reply(request, machine, &query, 200);
}

struct stop_body {
	char *signal;
	long long timeout_s;
};

static int read_stop(const struct request *request, const struct machine *machine, int *ret_signal,
		     long long *ret_timeout_s, struct err *err)
{
	static const struct json_field fields[] = {
		{"signal", JSON_WANT_STRING, offsetof(struct stop_body, signal)},
		{"timeout_s", JSON_WANT_INT, offsetof(struct stop_body, timeout_s), .min = 0,
		 .max = STOP_TIMEOUT_S_MAX},
		JSON_FIELD_END,
	};
	struct stop_body asked = {.timeout_s = machine->config.stop.timeout_s};
	_cleanup_json_ json_t *body = NULL;
	int r = 0;

	if (request->body.length > 0) {
		r = json_parse(request->body.data, request->body.length, &body, err);
		if (r >= 0)
			r = json_read(body, "", fields, &asked, err);
	}
	*ret_timeout_s = asked.timeout_s;
	*ret_signal = asked.signal == NULL ? machine_stop_signal(machine)
					   : wire_signal_parse(asked.signal);
	if (r >= 0 && *ret_signal < 0)
		r = err_set(err, EDOM, "signal: '%.32s' is not a signal", asked.signal);
	free(asked.signal);
	return r;
}

/* The supervisor has its own deadlines, all of which are shorter. */
static long long stop_patience_ms(long long timeout_s)
{
	return (timeout_s + 60) * 1000;
}

void machines_http_stop(struct request *request)
{
	struct machine *machine = find_machine(request);
	long long timeout_s;
	struct err err = {0};
	int signal, r;

	if (machine == NULL)
		return;
	r = read_stop(request, machine, &signal, &timeout_s, &err);
	if (r < 0) {
		reply_errno(request, r, &err);
		return;
	}
	machine_stop(machine, signal, timeout_s * 1000);
	wait_and_reply(request, machine, WAIT_REST, stop_patience_ms(timeout_s));
}

/* ---- restart ---- */

/* Goes on when the client leaves: a machine must not stay stopped for that. */
struct restarting {
	struct request *request;
	struct start_query query;
	struct waiter *waiter;
};

static void on_stopped(void *user, enum wait_outcome outcome, const struct machine *stopped)
{
	struct restarting *restarting = user;
	struct request *request = restarting->request;
	struct start_query query = restarting->query;
	struct machine *machine = (struct machine *)stopped;

	free(restarting);
	if (outcome == WAIT_REACHED)
		start_and_reply(request, machine, &query, 200);
	else
		on_wait_end(request, outcome, machine);
}

void machines_http_restart(struct request *request)
{
	struct machine *machine = find_machine(request);
	struct restarting *restarting;
	struct start_query query;
	long long timeout_s;
	struct err err = {0};
	int signal, r;

	if (machine == NULL)
		return;
	if (start_query_read(request, start_query_fields, &query, &err) < 0) {
		reply_error(request, 400, "invalid_query", "%s", err.text);
		return;
	}
	r = read_stop(request, machine, &signal, &timeout_s, &err);
	if (r < 0) {
		reply_errno(request, r, &err);
		return;
	}
	if (!machine_state_is_live(machine->state)) {
		start_and_reply(request, machine, &query, 200);
		return;
	}
	restarting = mem_new(struct restarting);
	restarting->request = request;
	restarting->query = query;
	machine->keep_once = true;
	machine_stop(machine, signal, timeout_s * 1000);
	waiter_new(machine, WAIT_REST, stop_patience_ms(timeout_s), on_stopped, restarting,
		   &restarting->waiter);
}

/* ---- signal ---- */

static int read_signal(const struct request *request, int *ret_signal, struct err *err)
{
	static const struct json_field fields[] = {
		{"signal", JSON_WANT_STRING, 0, .required = true},
		JSON_FIELD_END,
	};
	_cleanup_json_ json_t *body = NULL;
	_cleanup_free_ char *name = NULL;
	int r = json_parse(request->body.data == NULL ? "" : request->body.data,
			   request->body.length, &body, err);

	if (r >= 0)
		r = json_read(body, "", fields, &name, err);
	if (r < 0)
		return r;
	*ret_signal = wire_signal_parse(name);
	return *ret_signal < 0 ? err_set(err, EDOM, "signal: '%.32s' is not a signal", name) : 0;
}

void machines_http_signal(struct request *request)
{
	struct machine *machine = find_machine(request);
	struct err err = {0};
	int signal = 0, r;

	if (machine == NULL)
		return;
	r = read_signal(request, &signal, &err);
	if (r >= 0)
		r = machine_signal(machine, signal, &err);
	if (r < 0)
		reply_errno(request, r, &err);
	else
		reply_empty(request, 204);
}

/* ---- wait ---- */

struct wait_query {
	const char *state;
	long long timeout_ms;
};

void machines_http_wait(struct request *request)
{
	static const struct query_field fields[] = {
		{"state", QUERY_TEXT, offsetof(struct wait_query, state)},
		{"timeout", QUERY_SECONDS, offsetof(struct wait_query, timeout_ms), 0,
		 WAIT_TIMEOUT_S_MAX},
		QUERY_FIELD_END,
	};
	struct wait_query query = {.state = "stopped", .timeout_ms = WAIT_TIMEOUT_S_USUAL * 1000LL};
	struct machine *machine = find_machine(request);
	enum wait_target target;
	struct err err = {0};
	int r;

	if (machine == NULL)
		return;
	r = query_read(&request->query, fields, &query, &err);
	if (r >= 0 && wait_target_parse(query.state, &target) < 0)
		r = err_set(&err, EINVAL,
			    "query: state must be ready, running, stopped, failed or deleted");
	if (r < 0) {
		reply_error(request, 400, "invalid_query", "%s", err.text);
		return;
	}
	wait_and_reply(request, machine, target, query.timeout_ms);
}
