/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /metrics in Prometheus' text format. Running machines are asked at the scrape, all at once; of
 * those that do not answer in time the last known figures are shown, or none.
 */
#include "metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/version.h"
#include "bounds.h"
#include "handlers.h"
#include "machine.h"
#include "request.h"
#include "routes.h"
#include "server.h"
#include "stats.h"

#define NS_PER_S 1e9

static const double bounds_s[METRICS_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
						 0.1,    0.25,  0.5,    1,     2.5,  5,     10};

void metrics_answered(struct metrics *metrics, const struct request *request, int status)
{
	uint64_t took_ns = uv_hrtime() - request->began_ns;
	size_t bucket = 0;

	while (bucket < METRICS_BUCKETS && (double)took_ns > bounds_s[bucket] * NS_PER_S)
		bucket++;
	metrics->buckets[bucket]++;
	metrics->duration_ns += took_ns;
	if (status >= 100 && status < 600)
		metrics->requests[request->method][status / 100 - 1]++;
}

/* ---- text ---- */

/* One of several machines at the moment of a scrape. */
struct sample {
	struct stats_ask ask;
	struct scrape *scrape;
	const struct machine *machine; /* while it is asked: later it may be gone */
	char id[MACHINE_ID_BYTES], name[64];
	bool has_network;
	int64_t restart_count, started_at;
	bool known;
	struct wire_machine_stats stats;
};

struct scrape {
	struct request *request;
	uv_timer_t timer;
	size_t count, pending;
	struct sample samples[];
};

/* What does not fit is not there: see reply(). */
#define PUT(out, ...) (void)!buf_printf((out), __VA_ARGS__)

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	PUT(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(struct buf *out, const char *name, const char *type, const char *help,
		    double value)
{
	put_head(out, name, type, help);
	PUT(out, "%s %.17g\n", name, value);
}

static void put_machines(struct buf *out, const struct server *server)
{
	size_t counts[MACHINE_STATE_COUNT] = {0};

	for (size_t i = 0; i < server->machines.count; i++)
		counts[server->machines.by_id[i]->state]++;
	put_head(out, "krun_api_machines", "gauge", "Machines by state.");
	for (int state = 0; state < MACHINE_STATE_COUNT; state++)
		PUT(out, "krun_api_machines{state=\"%s\"} %zu\n",
		    machine_state_name((enum machine_state)state), counts[state]);
	put_one(out, "krun_api_volumes", "gauge", "Named volumes.", (double)server->volumes.count);
}

static void put_requests(struct buf *out, const struct metrics *metrics)
{
	static const char name[] = "krun_api_http_request_duration_seconds";
	uint64_t total = 0;

	put_head(out, "krun_api_http_requests_total", "counter",
		 "Answered requests by method and class of status.");
	for (int method = 0; method < METRICS_METHODS; method++) {
		for (int class = 0; class < METRICS_CLASSES; class ++) {
			if (metrics->requests[method][class] > 0)
				PUT(out,
				    "krun_api_http_requests_total{method=\"%s\",status=\"%dxx\"} "
				    "%llu\n",
				    http_method_name((enum http_method)method), class + 1,
				    (unsigned long long)metrics->requests[method][class]);
		}
	}
	put_head(out, name, "histogram",
		 "From the head of a request to the head of its answer, waiting included.");
	for (int i = 0; i < METRICS_BUCKETS; i++) {
		total += metrics->buckets[i];
		PUT(out, "%s_bucket{le=\"%g\"} %llu\n", name, bounds_s[i],
		    (unsigned long long)total);
	}
	total += metrics->buckets[METRICS_BUCKETS];
	PUT(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.9f\n%s_count %llu\n", name,
	    (unsigned long long)total, name, (double)metrics->duration_ns / NS_PER_S, name,
	    (unsigned long long)total);
}

/* /dev/fd lists one's own on Linux and macOS. */
static size_t count_open_files(void)
{
	DIR *directory = opendir("/dev/fd");
	struct dirent *entry;
	size_t count = 0;

	while (directory != NULL && (entry = readdir(directory)) != NULL)
		count += entry->d_name[0] != '.';
	if (directory != NULL)
		closedir(directory);
	return count > 0 ? count - 1 : 0; /* that of the directory */
}

static void put_process(struct buf *out, const struct server *server)
{
	struct rlimit files = {0};
	uv_rusage_t usage = {0};
	size_t resident = 0;

	uv_getrusage(&usage);
	uv_resident_set_memory(&resident);
	getrlimit(RLIMIT_NOFILE, &files);
	put_one(out, "process_cpu_seconds_total", "counter", "CPU time of krun-api.",
		(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	put_one(out, "process_resident_memory_bytes", "gauge", "Resident memory of krun-api.",
		(double)resident);
	put_one(out, "process_open_fds", "gauge", "Open file descriptors of krun-api.",
		(double)count_open_files());
	put_one(out, "process_max_fds", "gauge", "Maximum of open file descriptors.",
		(double)files.rlim_cur);
	put_one(out, "process_start_time_seconds", "gauge", "When krun-api started.",
		(double)server->started_at / NS_PER_S);
	put_one(out, "krun_api_http_connections", "gauge", "Open connections of clients.",
		(double)server->connection_count);
}

/* ---- figures of machines ---- */

struct figure {
	const char *name, *type, *help;
	double (*read)(const struct sample *sample);
	bool needs_guest;   /* there is none when the guest did not answer */
	bool needs_network; /* nor without a network */
};

#define FIGURE(function, expression)                                                               \
	static double function(const struct sample *sample)                                        \
	{                                                                                          \
		return (double)(expression);                                                       \
	}

FIGURE(read_cpu, (double)sample->stats.guest.cpu_us / 1e6)
FIGURE(read_host_cpu, (double)sample->stats.host_cpu_us / 1e6)
FIGURE(read_memory, sample->stats.guest.memory_total_bytes)
FIGURE(read_memory_available, sample->stats.guest.memory_available_bytes)
FIGURE(read_host_memory, sample->stats.host_memory_bytes)
FIGURE(read_sent, sample->stats.net.sent_bytes)
FIGURE(read_received, sample->stats.net.received_bytes)
FIGURE(read_dropped, sample->stats.net.dropped_frames)
FIGURE(read_refused, sample->stats.net.refused_flows)
FIGURE(read_disk_read, sample->stats.guest.disk_read_bytes)
FIGURE(read_disk_written, sample->stats.guest.disk_written_bytes)
FIGURE(read_disk, sample->stats.disk_bytes)
FIGURE(read_restarts, sample->restart_count)
FIGURE(read_start_time, (double)sample->started_at / NS_PER_S)

static const struct figure figures[] = {
	{"krun_machine_cpu_seconds_total", "counter", "CPU time that the guest counts.", read_cpu,
	 .needs_guest = true},
	{"krun_machine_host_cpu_seconds_total", "counter", "CPU time of the machine's processes.",
	 read_host_cpu},
	{"krun_machine_memory_size_bytes", "gauge", "Memory that the guest has.", read_memory,
	 .needs_guest = true},
	{"krun_machine_memory_available_bytes", "gauge", "Memory that the guest could still use.",
	 read_memory_available, .needs_guest = true},
	{"krun_machine_host_memory_bytes", "gauge", "Memory of the machine's processes.",
	 read_host_memory},
	{"krun_machine_network_sent_bytes_total", "counter", "Sent by the guest.", read_sent,
	 .needs_network = true},
	{"krun_machine_network_received_bytes_total", "counter", "Received by the guest.",
	 read_received, .needs_network = true},
	{"krun_machine_network_dropped_frames_total", "counter",
	 "Frames that were not let through.", read_dropped, .needs_network = true},
	{"krun_machine_network_refused_flows_total", "counter", "Connections that policy refused.",
	 read_refused, .needs_network = true},
	{"krun_machine_disk_read_bytes_total", "counter", "Read by the guest.", read_disk_read,
	 .needs_guest = true},
	{"krun_machine_disk_written_bytes_total", "counter", "Written by the guest.",
	 read_disk_written, .needs_guest = true},
	{"krun_machine_disk_allocated_bytes", "gauge", "What its disk takes on the host.",
	 read_disk},
	{"krun_machine_restarts_total", "counter", "Restarts by its policy.", read_restarts},
	{"krun_machine_start_time_seconds", "gauge", "When it started.", read_start_time},
};

static bool has_figure(const struct figure *figure, const struct sample *sample)
{
	if (!sample->known || (figure->needs_network && !sample->has_network))
		return false;
	return !figure->needs_guest || sample->stats.guest.memory_total_bytes != 0;
}

static void put_figures(struct buf *out, const struct scrape *scrape)
{
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		const struct figure *figure = &figures[i];

		put_head(out, figure->name, figure->type, figure->help);
		for (size_t j = 0; j < scrape->count; j++) {
			const struct sample *sample = &scrape->samples[j];

			/* A name and an id need no escaping. */
			if (has_figure(figure, sample))
				PUT(out, "%s{id=\"%s\",name=\"%s\"} %.17g\n", figure->name,
				    sample->id, sample->name, figure->read(sample));
		}
	}
}

/* ---- the scrape ---- */

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void scrape_free(struct scrape *scrape)
{
	for (size_t i = 0; i < scrape->count; i++)
		stats_cancel(&scrape->samples[i].ask);
	uv_close((uv_handle_t *)&scrape->timer, on_timer_closed);
}

static void on_gone(struct request *request)
{
	scrape_free(request->data);
}

static void reply(struct scrape *scrape)
{
	struct request *request = scrape->request;
	const struct server *server = request->server;
	_cleanup_buf_ struct buf text;

	buf_init(&text, HTTP_REPLY_BYTES_MAX);
	put_head(&text, "krun_api_build_info", "gauge", "Which krun-api this is.");
	PUT(&text, "krun_api_build_info{version=\"%s\"} 1\n", VERSION);
	put_machines(&text, server);
	put_requests(&text, &server->metrics);
	put_process(&text, server);
	put_figures(&text, scrape);
	scrape_free(scrape);
	reply_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", text.data,
		   text.length);
}

static void on_deadline(uv_timer_t *timer)
{
	struct scrape *scrape = timer->data;

	for (size_t i = 0; i < scrape->count; i++) {
		struct sample *sample = &scrape->samples[i];

		/* Still asked: it still runs. */
		if (sample->ask.link == NULL)
			continue;
		sample->known = sample->machine->stats.known;
		sample->stats = sample->machine->stats.last;
	}
	reply(scrape);
}

static void on_stats(struct stats_ask *ask, const struct wire_machine_stats *stats)
{
	struct sample *sample = (struct sample *)ask;
	struct scrape *scrape = sample->scrape;

	sample->known = stats != NULL;
	if (stats != NULL)
		sample->stats = *stats;
	sample->machine = NULL;
	if (--scrape->pending == 0)
		uv_timer_start(&scrape->timer, on_deadline, 0, 0);
}

static bool start_sample(struct scrape *scrape, struct machine *machine)
{
	struct sample *sample = &scrape->samples[scrape->count];

	sample->ask.done = on_stats;
	if (stats_ask(machine, &sample->ask) < 0)
		return false;
	sample->scrape = scrape;
	sample->machine = machine;
	strcpy(sample->id, machine->id);
	snprintf(sample->name, sizeof(sample->name), "%s", machine->name);
	sample->has_network = machine->network.mode != MACHINE_NETWORK_NONE;
	sample->restart_count = machine->restart_count;
	sample->started_at = machine->record.started_at;
	return true;
}

static void start_asking(struct scrape *scrape, const struct machines *machines)
{
	for (size_t i = 0; i < machines->count; i++)
		scrape->count += start_sample(scrape, machines->by_id[i]);
	scrape->pending = scrape->count;
}

void metrics_http_get(struct request *request)
{
	const struct machines *machines = &request->server->machines;
	struct scrape *scrape =
		mem_zalloc(sizeof(*scrape) + machines->count * sizeof(scrape->samples[0]));

	scrape->request = request;
	uv_timer_init(request->server->loop, &scrape->timer);
	scrape->timer.data = scrape;
	request->data = scrape;
	request->on_gone = on_gone;
	start_asking(scrape, machines);
	uv_timer_start(&scrape->timer, on_deadline, scrape->pending == 0 ? 0 : STATS_TIMEOUT_MS, 0);
}
