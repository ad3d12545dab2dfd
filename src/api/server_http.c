/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/file.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/version.h"
#include "bounds.h"
#include "handlers.h"
#include "machine.h"
#include "openapi.h"
#include "probe.h"
#include "request.h"
#include "server.h"

void server_http_healthz(struct request *request)
{
	static const char text[] = "{\"status\":\"ok\"}";

	reply_text(request, 200, "application/json", text, sizeof(text) - 1);
}

void server_http_readyz(struct request *request)
{
	static const char text[] = "{\"status\":\"ready\"}";

	if (request->server->is_stopping)
		reply_error(request, 503, "stopping", "the server is stopping");
	else
		reply_text(request, 200, "application/json", text, sizeof(text) - 1);
}

void server_http_openapi(struct request *request)
{
	reply_text(request, 200, "application/json", openapi_json, openapi_json_length);
}

/* ---- /v1/info ---- */

static void write_limits(struct jsonw *w)
{
	static const struct {
		const char *name;
		long long value;
	} limits[] = {
		{"vcpus_max", LIMIT_VCPUS_MAX},
		{"memory_mib_min", LIMIT_MEMORY_MIB_MIN},
		{"memory_mib_max", LIMIT_MEMORY_MIB_MAX},
		{"disk_mib_min", LIMIT_DISK_MIB_MIN},
		{"disk_mib_max", LIMIT_DISK_MIB_MAX},
		{"volumes_max", LIMIT_VOLUMES},
		{"ports_max", LIMIT_PORTS},
		{"allow_rules_max", LIMIT_ALLOW_RULES},
		{"labels_max", LIMIT_LABELS},
		{"process_bytes_max", LIMIT_PROCESS_BYTES},
		{"machines_max", MACHINES_MAX},
		{"body_bytes_max", HTTP_BODY_BYTES_MAX},
		{"image_bytes_max", (long long)IMAGE_UPLOAD_BYTES_MAX},
		{"exec_output_bytes_max", EXEC_OUTPUT_BYTES_MAX},
		{"execs_per_machine_max", LIMIT_SESSIONS},
	};

	jsonw_object_begin(w, "limits");
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		jsonw_int(w, limits[i].name, limits[i].value);
	jsonw_object_end(w);
}

static void write_capacity(struct jsonw *w, const struct server *server)
{
	long long memory_mib = (long long)proc_host_memory_mib();
	long long promised_mib = machines_live_memory_mib(&server->machines);
	uint64_t free_bytes = 0;
	long long live = 0;

	for (size_t i = 0; i < server->machines.count; i++)
		live += machine_state_is_live(server->machines.by_id[i]->state);
	jsonw_object_begin(w, "capacity");
	jsonw_int(w, "cpus", proc_host_cpus());
	jsonw_int(w, "memory_mib", memory_mib);
	jsonw_int(w, "memory_left_mib", MAX(memory_mib - promised_mib, 0LL));
	if (file_free_bytes(server->settings->state_dir, &free_bytes) >= 0)
		jsonw_int(w, "disk_left_bytes", (int64_t)MIN(free_bytes, (uint64_t)INT64_MAX));
	else
		jsonw_null(w, "disk_left_bytes");
	jsonw_int(w, "machines", (int64_t)server->machines.count);
	jsonw_int(w, "machines_live", live);
	jsonw_object_end(w);
}

static void write_backends(struct jsonw *w, const char *backends, const char *sentence)
{
	static const char *const names[] = {"libkrun", "qemu"};

	if (backends != NULL) {
		jsonw_raw(w, "backends", backends, strlen(backends));
		return;
	}
	jsonw_array_begin(w, "backends");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		jsonw_object_begin(w, NULL);
		jsonw_string(w, "name", names[i]);
		jsonw_bool(w, "usable", false);
		jsonw_string(w, "reason", sentence);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

static void on_probed(struct probe_wait *wait, const char *backends, const char *sentence)
{
	struct request *request = wait->user;
	const struct server *server = request->server;
	struct buf body;
	struct jsonw w;

	buf_init(&body, HTTP_REPLY_BYTES_MAX);
	jsonw_init(&w, &body);
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "version", VERSION);
	jsonw_string(&w, "backend", server->settings->backend);
	write_backends(&w, backends, sentence);
	write_limits(&w);
	write_capacity(&w, server);
	jsonw_string(&w, "state_dir", server->settings->state_dir);
	jsonw_time(&w, "started_at", server->started_at);
	jsonw_object_end(&w);
	free(wait);
	if (jsonw_finish(&w) < 0) {
		buf_done(&body);
		reply_error(request, 500, "internal", "the answer is too large");
		return;
	}
	reply_json(request, 200, &body);
}

static void on_gone(struct request *request)
{
	struct probe_wait *wait = request->data;

	probe_cancel(wait);
	free(wait);
}

void server_http_info(struct request *request)
{
	struct probe_wait *wait = mem_new(struct probe_wait);

	wait->done = on_probed;
	wait->user = request;
	request->data = wait;
	request->on_gone = on_gone;
	probe_ask(request->server, wait);
}
