/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "bounds.h"
#include "find_http.h"
#include "handlers.h"
#include "machine.h"
#include "request.h"
#include "server.h"
#include "stats.h"

/*
 * One client. With `follow` it asks once a second until the machine stops; a client that does not take
 * what it is given gets no more until it does.
 */
struct viewer {
	struct stats_ask ask;
	struct request *request;
	struct observer observer;
	uv_timer_t timer; /* of the answer, or of the next question */
	bool follow, begun, draining;
};

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void viewer_free(struct viewer *viewer)
{
	stats_cancel(&viewer->ask);
	machine_unobserve(&viewer->observer);
	uv_close((uv_handle_t *)&viewer->timer, on_timer_closed);
}

static void on_gone(struct request *request)
{
	viewer_free(request->data);
}

static void end(struct viewer *viewer)
{
	struct request *request = viewer->request;
	const struct machine *machine = viewer->observer.machine;
	bool running = machine != NULL && machine->state == MACHINE_STATE_RUNNING;
	bool begun = viewer->begun;

	viewer_free(viewer); /* freed by the loop, later */
	if (begun)
		stream_end(request);
	else if (running)
		reply_error(request, 503, "no_answer", "krun-vmm has not answered in time");
	else
		reply_error(request, 409, "wrong_state", "the machine does not run");
}

/* ---- as JSON ---- */

/* What did not answer is all 0. */
static void write_known(struct jsonw *w, const char *name, bool known, uint64_t value)
{
	if (known)
		jsonw_int(w, name, (int64_t)MIN(value, (uint64_t)INT64_MAX));
	else
		jsonw_null(w, name);
}

static void write_network(struct jsonw *w, const struct machine *machine,
			  const struct wire_net_stats *net)
{
	if (machine->network.mode == MACHINE_NETWORK_NONE) {
		jsonw_null(w, "network");
		return;
	}
	jsonw_object_begin(w, "network");
	write_known(w, "sent_bytes", true, net->sent_bytes);
	write_known(w, "received_bytes", true, net->received_bytes);
	write_known(w, "sent_frames", true, net->sent_frames);
	write_known(w, "received_frames", true, net->received_frames);
	write_known(w, "dropped_frames", true, net->dropped_frames);
	write_known(w, "refused_flows", true, net->refused_flows);
	jsonw_object_end(w);
}

static void write_stats(struct jsonw *w, const struct machine *machine,
			const struct wire_machine_stats *stats)
{
	bool guest = stats->guest.memory_total_bytes != 0;
	int64_t at = stats->realtime_ns == 0 ? clock_realtime_ns() : (int64_t)stats->realtime_ns;

	jsonw_object_begin(w, NULL);
	jsonw_time(w, "time", at);
	jsonw_string(w, "id", machine->id);
	jsonw_string(w, "name", machine->name);
	jsonw_object_begin(w, "cpu");
	jsonw_int(w, "vcpus", machine->config.vcpus);
	write_known(w, "guest_us", guest, stats->guest.cpu_us);
	write_known(w, "host_us", true, stats->host_cpu_us);
	jsonw_object_end(w);
	jsonw_object_begin(w, "memory");
	write_known(w, "guest_total_bytes", guest, stats->guest.memory_total_bytes);
	write_known(w, "guest_available_bytes", guest, stats->guest.memory_available_bytes);
	write_known(w, "host_bytes", true, stats->host_memory_bytes);
	jsonw_object_end(w);
	write_network(w, machine, &stats->net);
	jsonw_object_begin(w, "disk");
	write_known(w, "read_bytes", guest, stats->guest.disk_read_bytes);
	write_known(w, "written_bytes", guest, stats->guest.disk_written_bytes);
	write_known(w, "root_total_bytes", guest, stats->guest.root_total_bytes);
	write_known(w, "root_available_bytes", guest, stats->guest.root_available_bytes);
	write_known(w, "allocated_bytes", true, stats->disk_bytes);
	jsonw_object_end(w);
	jsonw_object_end(w);
}

/* ---- asking ---- */

static void on_stats(struct stats_ask *ask, const struct wire_machine_stats *stats);

static void on_no_answer(uv_timer_t *timer)
{
	struct viewer *viewer = timer->data;

	end(viewer);
}

static void ask_now(struct viewer *viewer)
{
	struct machine *machine = viewer->observer.machine;

	viewer->ask.done = on_stats;
	if (machine == NULL || stats_ask(machine, &viewer->ask) < 0)
		end(viewer);
	else
		uv_timer_start(&viewer->timer, on_no_answer, STATS_TIMEOUT_MS, 0);
}

static void on_next(uv_timer_t *timer)
{
	struct viewer *viewer = timer->data;

	if (!viewer->draining)
		ask_now(viewer);
}

static void on_drain(struct request *request)
{
	struct viewer *viewer = request->data;

	if (!viewer->draining)
		return;
	viewer->draining = false;
	uv_timer_start(&viewer->timer, on_next, STATS_INTERVAL_MS, 0);
}

static void on_stats(struct stats_ask *ask, const struct wire_machine_stats *stats)
{
	struct viewer *viewer = (struct viewer *)ask;
	struct request *request = viewer->request;
	struct buf body;
	struct jsonw w;

	if (stats == NULL) {
		end(viewer);
		return;
	}
	buf_init(&body, 16 * KIB);
	jsonw_init(&w, &body);
	write_stats(&w, viewer->observer.machine, stats);
	/* A few numbers and a name always fit. */
	(void)!jsonw_finish(&w);
	if (!viewer->follow) {
		viewer_free(viewer);
		reply_json(request, 200, &body);
		return;
	}
	if (!viewer->begun)
		stream_begin(request, 200, "application/x-ndjson");
	viewer->begun = true;
	(void)!buf_append_char(&body, '\n');
	viewer->draining = !stream_write(request, body.data, body.length);
	buf_done(&body);
	uv_timer_start(&viewer->timer, on_next, STATS_INTERVAL_MS, 0);
}

static void on_machine(struct observer *observer, enum machine_event event)
{
	struct viewer *viewer =
		(struct viewer *)((char *)observer - offsetof(struct viewer, observer));

	if (event == MACHINE_EVENT_DELETED ||
	    (event == MACHINE_EVENT_CHANGED && !machine_state_is_live(observer->machine->state)))
		end(viewer);
}

void stats_http_get(struct request *request)
{
	static const struct query_field fields[] = {{"follow", QUERY_BOOL, 0}, QUERY_FIELD_END};
	struct machine *machine = find_machine(request);
	struct viewer *viewer;
	struct err err = {0};
	bool follow = false;

	if (machine == NULL)
		return;
	if (query_read(&request->query, fields, &follow, &err) < 0) {
		reply_error(request, 400, "invalid_query", "%s", err.text);
		return;
	}
	if (machine->state != MACHINE_STATE_RUNNING) {
		reply_error(request, 409, "wrong_state", "machine '%s' is %s, not running",
			    machine->name, machine_state_name(machine->state));
		return;
	}
	viewer = mem_new(struct viewer);
	viewer->request = request;
	viewer->follow = follow;
	viewer->observer.notify = on_machine;
	uv_timer_init(request->server->loop, &viewer->timer);
	viewer->timer.data = viewer;
	request->data = viewer;
	request->on_gone = on_gone;
	request->on_drain = on_drain;
	machine_observe(machine, &viewer->observer);
	ask_now(viewer);
}
