/* SPDX-License-Identifier: Apache-2.0 */
#include "find_http.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "bounds.h"
#include "machine.h"
#include "request.h"
#include "server.h"

struct machine *find_machine(struct request *request)
{
	struct machine *machine;
	int r = machines_find(&request->server->machines, request->param, &machine);

	if (r == 0)
		return machine;
	if (r == -EMLINK)
		reply_error(request, 409, "ambiguous_id", "several machines' ids begin with '%s'",
			    request->param);
	else
		reply_error(request, 404, "machine_not_found", "there is no machine '%.100s'",
			    request->param);
	return NULL;
}

/* The real ports while it is live; at rest nothing is published. */
static void write_network_facts(struct jsonw *w, const struct machine *machine)
{
	static const struct machine_ports none = {0};
	bool live = machine_state_is_live(machine->state);

	jsonw_string(w, "guest_ip", live ? machine->record.guest_ip : NULL);
	machine_ports_write(w, "ports", live ? &machine->record.ports : &none);
}

void machine_write(struct jsonw *w, const char *name, const struct machine *machine)
{
	const struct machine_record *record = &machine->record;

	jsonw_object_begin(w, name);
	jsonw_string(w, "id", machine->id);
	jsonw_string(w, "name", machine->name);
	jsonw_string(w, "state", machine_state_name(machine->state));
	jsonw_string(w, "status_reason", machine->reason);
	machine_config_write(w, &machine->config);
	machine_network_write(w, &machine->network);
	jsonw_map(w, "labels", machine->labels);
	jsonw_string(w, "image_digest", machine->image_digest);
	jsonw_string(w, "backend", record->backend);
	jsonw_int(w, "generation", machine->generation);
	jsonw_int(w, "restart_count", machine->restart_count);
	machine_exit_write(w, record);
	write_network_facts(w, machine);
	machine_boot_ms_write(w, &record->boot_ms);
	jsonw_time(w, "created_at", machine->created_at);
	jsonw_time(w, "updated_at", machine->updated_at);
	jsonw_time(w, "started_at", record->started_at);
	jsonw_time(w, "ready_at", record->ready_at);
	jsonw_time(w, "finished_at", record->finished_at);
	jsonw_object_end(w);
}

void reply_machine(struct request *request, int status, const struct machine *machine)
{
	struct buf body;
	struct jsonw w;

	buf_init(&body, HTTP_REPLY_BYTES_MAX);
	jsonw_init(&w, &body);
	machine_write(&w, NULL, machine);
	if (jsonw_finish(&w) < 0) {
		buf_done(&body);
		reply_error(request, 500, "internal", "the machine is too large to be shown");
		return;
	}
	reply_json(request, status, &body);
}

void reply_errno(struct request *request, int r, const struct err *err)
{
	static const struct {
		int errnum, status;
		const char *code;
	} kinds[] = {
		{EINVAL, 400, "invalid_request"}, {EDOM, 422, "invalid_value"},
		{ENOENT, 404, "not_found"},       {EEXIST, 409, "name_taken"},
		{EBUSY, 409, "wrong_state"},      {EAGAIN, 503, "at_capacity"},
		{ENOSPC, 503, "disk_full"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].errnum == -r) {
			reply_error(request, kinds[i].status, kinds[i].code, "%s", err->text);
			return;
		}
	}
	log_error("request %s: %s", request->id, err->text);
	reply_error(request, 500, "internal", "%s", err->text);
}
