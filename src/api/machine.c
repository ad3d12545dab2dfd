/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/strv.h"
#include "bounds.h"
#include "events.h"
#include "launch.h"
#include "restart.h"
#include "server.h"
#include "store.h"
#include "supervisor.h"
#include "wire/signal.h"

#define DISK_FILE "disk.ext4"

/* ---- paths ---- */

char *machine_directory(const struct machine *machine)
{
	return path_join(machine->server->machines_dir, machine->id);
}

char *machine_run_directory(const struct machine *machine)
{
	char name[MACHINE_RUN_NAME_BYTES];

	machine_id_run_name(machine->id, name);
	return path_join(machine->server->settings->socket_dir, name);
}

char *machine_disk_path(const struct machine *machine)
{
	return mem_printf("%s/%s/" DISK_FILE, machine->server->machines_dir, machine->id);
}

/* ---- observers ---- */

void machine_observe(struct machine *machine, struct observer *observer)
{
	assert(observer->machine == NULL);
	observer->machine = machine;
	observer->next = machine->observers;
	observer->link = &machine->observers;
	if (observer->next != NULL)
		observer->next->link = &observer->next;
	machine->observers = observer;
}

void machine_unobserve(struct observer *observer)
{
	struct machine *machine = observer->machine;

	if (machine == NULL)
		return;
	if (machine->notify_next == observer)
		machine->notify_next = observer->next;
	*observer->link = observer->next;
	if (observer->next != NULL)
		observer->next->link = observer->link;
	observer->machine = NULL;
	if (observer->holds_removal)
		restart_released(machine);
}

static void notify(struct machine *machine, enum machine_event event)
{
	struct observer *outer_next = machine->notify_next;

	for (struct observer *o = machine->observers; o != NULL; o = machine->notify_next) {
		machine->notify_next = o->next;
		o->notify(o, event);
	}
	/* Whoever left meanwhile must not be called by the outer notification. */
	machine->notify_next = NULL;
	for (struct observer *o = machine->observers; o != NULL; o = o->next) {
		if (o == outer_next)
			machine->notify_next = o;
	}
}

/* ---- the object ---- */

struct machine *machine_new(struct server *server, struct machine_request *request)
{
	struct machine *machine = mem_new(struct machine);
	char name[64];

	machine->server = server;
	machine_id_make(machine->id);
	if (request->name == NULL) {
		machine_name_make(name);
		request->name = mem_strdup(name);
	}
	machine->name = take_ptr(request->name);
	machine->config = request->config;
	machine->network = request->network;
	machine->labels = request->labels;
	machine_request_init(request);
	machine_record_init(&machine->record);
	machine->state = MACHINE_STATE_CREATED;
	machine->created_at = clock_realtime_ns();
	machine->updated_at = machine->created_at;
	return machine;
}

void machine_let_go(struct machine *machine)
{
	stats_end(machine);
	restart_forget(machine);
	supervisor_free(machine->supervisor);
}

bool machine_has_ended(const struct machine *machine)
{
	return !machine_state_is_live(machine->state) && !machine->restart_due;
}

void machine_free(struct machine *machine)
{
	if (machine == NULL)
		return;
	assert(machine->observers == NULL);
	machine_let_go(machine);
	free(machine->name);
	machine_config_done(&machine->config);
	machine_network_done(&machine->network);
	strv_free(machine->labels);
	free(machine->image_digest);
	free(machine->reason);
	machine_record_done(&machine->record);
	launch_forget(machine);
	free(machine);
}

static int read_row(struct machine *machine, const struct store_machine *row, struct err *err)
{
	static const struct json_field fields[] = {
		{.name = "config",
		 .type = JSON_WANT_CUSTOM,
		 .offset = offsetof(struct machine, config),
		 .read = machine_config_read},
		{.name = "network",
		 .type = JSON_WANT_CUSTOM,
		 .offset = offsetof(struct machine, network),
		 .read = machine_network_read},
		{.name = "labels",
		 .type = JSON_WANT_MAP,
		 .offset = offsetof(struct machine, labels)},
		JSON_FIELD_END,
	};
	_cleanup_json_ json_t *spec = NULL;
	int r = json_parse(row->spec, strlen(row->spec), &spec, err);

	if (r >= 0)
		r = json_read(spec, "", fields, machine, err);
	if (r >= 0 && row->record != NULL)
		r = machine_record_parse(&machine->record, row->record, strlen(row->record), err);
	return r;
}

int machine_load(struct server *server, const struct store_machine *row,
		 struct machine **ret_machine, struct err *err)
{
	struct machine *machine = mem_new(struct machine);
	int r;

	machine->server = server;
	machine_config_init(&machine->config);
	machine_record_init(&machine->record);
	machine->name = mem_strdup(row->name);
	machine->image_digest = mem_strdup_or_null(row->image_digest);
	machine->reason = mem_strdup_or_null(row->reason);
	machine->state = row->state;
	machine->generation = row->generation;
	machine->is_deleting = row->deleting;
	machine->created_at = row->created_at;
	machine->updated_at = row->updated_at;
	machine->announced = row->announced;
	machine->restart_count = row->restart_count;
	machine->restart_due = row->restart_due;
	r = machine_id_is_valid(row->id) ? read_row(machine, row, err)
					 : err_set(err, EINVAL, "its id is not one");
	if (r < 0) {
		machine_free(machine);
		return r;
	}
	strcpy(machine->id, row->id);
	*ret_machine = machine;
	return 0;
}

/* ---- its row ---- */

static struct store_machine row_of(const struct machine *machine)
{
	return (struct store_machine){
		.id = machine->id,
		.name = machine->name,
		.image_digest = machine->image_digest,
		.state = machine->state,
		.reason = machine->reason,
		.generation = machine->generation,
		.deleting = machine->is_deleting,
		.created_at = machine->created_at,
		.updated_at = machine->updated_at,
		.announced = machine->state,
		.restart_count = machine->restart_count,
		.restart_due = machine->restart_due,
	};
}

/* Writes its row and what happened to it; `events` may be NULL. */
static int save(struct machine *machine, const struct machine_events *events, struct err *err)
{
	struct store_machine row = row_of(machine);
	_cleanup_buf_ struct buf record;
	struct jsonw w;
	int r;

	buf_init(&record, LIMIT_RECORD_BYTES);
	if (machine->record.generation != 0) {
		jsonw_init(&w, &record);
		machine_record_write(&w, &machine->record);
		/* A record that came as one frame fits here too. */
		row.record = jsonw_finish(&w) < 0 ? NULL : record.data;
	}
	if (events != NULL) {
		row.events = events->items;
		row.event_count = events->count;
	}
	r = store_machine_update(machine->server->store, &row, err);
	if (r < 0)
		return r;
	machine->announced = machine->state;
	events_wake(machine->server);
	return 0;
}

/* Writes an event of a live machine, unless there is one of this state. */
static void announce(struct machine *machine, const char *type)
{
	struct machine_events events = {0};
	struct err err = {0};

	machine_events_add(&events, machine, type);
	if (store_machine_announce(machine->server->store, events.items, &err) < 0)
		log_error("machine %s: %s", machine->id, err.text);
	else
		events_wake(machine->server);
	machine->announced = machine->state;
	machine_events_done(&events);
}

static void begin_start(struct machine *machine)
{
	assert(machine_state_may_move(machine->state, MACHINE_STATE_STARTING));
	machine->state = MACHINE_STATE_STARTING;
	machine->generation++;
	machine->updated_at = clock_realtime_ns();
	mem_replace(&machine->reason, NULL);
	machine_record_done(&machine->record);
	machine->stop_asked = false;
	machine->ttl_over = false;
	machine->keep_once = false;
	machine->restart_due = false;
	restart_forget(machine);
}

int machine_insert(struct machine *machine, bool starting, const struct store_answer *answer,
		   struct err *err)
{
	struct machine_events events = {0};
	_cleanup_buf_ struct buf spec;
	struct store_machine row;
	struct jsonw w;
	int r;

	machine_events_add(&events, machine, machine_event_type(machine));
	if (starting) {
		begin_start(machine);
		machine_events_add(&events, machine, machine_event_type(machine));
	}
	/* Bounded by the body that it came from; escaping may make each byte six. */
	buf_init(&spec, 8 * HTTP_BODY_BYTES_MAX);
	jsonw_init(&w, &spec);
	jsonw_object_begin(&w, NULL);
	machine_config_write(&w, &machine->config);
	machine_network_write(&w, &machine->network);
	jsonw_map(&w, "labels", machine->labels);
	jsonw_object_end(&w);
	r = jsonw_finish(&w);
	if (r < 0)
		r = err_set(err, EDOM, "the machine's configuration is too large");
	row = row_of(machine);
	row.spec = spec.data;
	row.events = events.items;
	row.event_count = events.count;
	row.answer = answer;
	if (r >= 0)
		r = store_machine_insert(machine->server->store, &row, err);
	machine_events_done(&events);
	if (r < 0)
		return r;
	machine->announced = machine->state;
	events_wake(machine->server);
	return 0;
}

/* ---- the end of a start ---- */

/*
 * State and record are those of the end. What follows is decided and written down with it, so that
 * another krun-api goes on where this one was killed.
 */
static void end_start(struct machine *machine)
{
	struct machine_events events = {0};
	struct err err = {0};

	stats_end(machine);
	restart_explain(machine);
	machine_events_add(&events, machine, machine_event_type(machine));
	restart_decide(machine);
	if (machine->restart_due)
		machine_events_add(&events, machine, "machine.restarting");
	/* Unwritten, it is found again in exit.json by the next krun-api. */
	if (save(machine, &events, &err) < 0)
		log_error("machine %s: %s", machine->id, err.text);
	machine_events_done(&events);
	log_info("machine %s (%s) is %s%s%s", machine->id, machine->name,
		 machine_state_name(machine->state), machine->reason == NULL ? "" : ": ",
		 machine->reason == NULL ? "" : machine->reason);
	notify(machine, MACHINE_EVENT_CHANGED);
	restart_go_on(machine);
}

/* ---- start ---- */

/* The start is over before it had processes. */
static void fail_start(struct machine *machine, const struct err *err)
{
	machine->state = MACHINE_STATE_FAILED;
	machine->updated_at = clock_realtime_ns();
	mem_replace(&machine->reason, err->text);
	mem_replace(&machine->record.reason, err->text);
	end_start(machine);
}

static int check_memory(const struct machine *machine, struct err *err)
{
	long long live_mib = machines_live_memory_mib(&machine->server->machines);
	long long host_mib = (long long)proc_host_memory_mib();

	/* This machine counts as live already. */
	if (live_mib > host_mib)
		return err_set(err, EAGAIN,
			       "machines that run have %lld MiB of this host's %lld MiB of memory; "
			       "this one needs %lld MiB",
			       live_mib - machine->config.memory_mib, host_mib,
			       machine->config.memory_mib);
	return 0;
}

/* It is `starting`; `is_written`: the database knows. */
static int launch(struct machine *machine, bool is_written, struct err *err)
{
	struct machine_events events = {0};
	struct vmm_config config;
	int r = check_memory(machine, err);

	if (r >= 0)
		r = volumes_check_free(machine, err);
	if (r >= 0)
		r = launch_config(machine, &config, err);
	if (r < 0)
		return r;
	/* On the disk before there is a process: nothing runs that nobody knows of. */
	if (!is_written) {
		machine_events_add(&events, machine, machine_event_type(machine));
		r = save(machine, &events, err);
		machine_events_done(&events);
	}
	if (r >= 0)
		r = supervisor_spawn(machine, &config, err);
	vmm_config_done(&config);
	return r;
}

static int start(struct machine *machine, bool is_written, struct err *err)
{
	struct err failure = {0};
	int r = launch(machine, is_written, &failure);

	if (r < 0) {
		fail_start(machine, &failure);
		if (err != NULL)
			*err = failure;
		return r;
	}
	notify(machine, MACHINE_EVENT_CHANGED);
	return 0;
}

int machine_start(struct machine *machine, struct err *err)
{
	bool begun = machine->state == MACHINE_STATE_STARTING && machine->supervisor == NULL;
	int r;

	if (machine->is_deleting)
		return err_set(err, EBUSY, "machine '%s' is being deleted", machine->name);
	if (!begun && machine_state_is_live(machine->state))
		return err_set(err, EBUSY, "machine '%s' is %s", machine->name,
			       machine_state_name(machine->state));
	/* What is not its own doing leaves it as it is. */
	r = begun ? 0 : volumes_check_free(machine, err);
	if (r < 0)
		return r;
	machine->restart_count = 0;
	machine->restart_delay_ms = 0;
	if (!begun)
		begin_start(machine);
	return start(machine, begun, err);
}

void machine_start_again(struct machine *machine)
{
	struct err ignored = {0};

	assert(!machine_state_is_live(machine->state) && !machine->is_deleting);
	machine->restart_count++;
	begin_start(machine);
	/* What fails is a failed start, which the policy has heard of. */
	(void)!start(machine, false, &ignored);
}

/* ---- while it is live ---- */

int machine_report(struct machine *machine, struct machine_record *record)
{
	if (record->state != machine->state &&
	    !machine_state_may_move(machine->state, record->state)) {
		log_warn("machine %s: krun-vmm says %s of a machine that is %s", machine->id,
			 machine_state_name(record->state), machine_state_name(machine->state));
		machine_record_done(record);
		return -EPROTO;
	}
	machine->state = record->state;
	machine->updated_at = clock_realtime_ns();
	mem_replace(&machine->reason, record->reason);
	machine_record_done(&machine->record);
	machine->record = *record;
	machine_record_init(record);
	restart_watch_ttl(machine);
	/* Before it is told to those who wait: what they have heard of is not lost with us. */
	if (machine->announced != machine->state)
		announce(machine, machine_event_type(machine));
	notify(machine, MACHINE_EVENT_CHANGED);
	return 0;
}

void machine_logged(struct machine *machine)
{
	notify(machine, MACHINE_EVENT_LOGGED);
}

void machine_warned(struct machine *machine, const char *sentence)
{
	struct machine_events events = {0};
	struct err err = {0};

	machine_events_add(&events, machine, "machine.warning");
	events.items[0].reason = sentence;
	if (store_event_insert(machine->server->store, events.items, &err) < 0)
		log_error("machine %s: %s", machine->id, err.text);
	else
		events_wake(machine->server);
	machine_events_done(&events);
}

void machine_settle(struct machine *machine, struct machine_record *record)
{
	machine->state = record->state;
	machine->updated_at = clock_realtime_ns();
	mem_replace(&machine->reason, record->reason);
	machine_record_done(&machine->record);
	machine->record = *record;
	machine_record_init(record);
	end_start(machine);
}

int machine_stop_signal(const struct machine *machine)
{
	_cleanup_(merged_done) struct merged merged = {0};
	int signal = WIRE_SIGTERM;

	if (launch_merge(machine, &merged, NULL) >= 0)
		signal = wire_signal_parse(merged.stop_signal);
	return signal > 0 ? signal : WIRE_SIGTERM;
}

/* It stays as it ended. */
static void call_off_restart(struct machine *machine)
{
	struct machine_events events = {0};
	struct err err = {0};

	machine->restart_due = false;
	machine->updated_at = clock_realtime_ns();
	restart_forget(machine);
	mem_replace(&machine->reason, machine->record.reason);
	machine->is_deleting = machine->config.auto_remove && !machine->keep_once;
	machine_events_add(&events, machine, machine_event_type(machine));
	if (save(machine, &events, &err) < 0)
		log_error("machine %s: %s", machine->id, err.text);
	machine_events_done(&events);
	notify(machine, MACHINE_EVENT_CHANGED);
	restart_go_on(machine);
}

void machine_stop(struct machine *machine, int signal, int64_t timeout_ms)
{
	machine->stop_asked = true;
	if (machine->supervisor != NULL)
		supervisor_stop(machine->supervisor, signal, timeout_ms);
	else if (machine->restart_due)
		call_off_restart(machine);
}

void machine_stop_for_ttl(struct machine *machine)
{
	machine->ttl_over = true;
	if (machine->supervisor != NULL)
		supervisor_stop(machine->supervisor, machine_stop_signal(machine),
				machine->config.stop.timeout_s * 1000);
}

int machine_signal(struct machine *machine, int signal, struct err *err)
{
	if (machine->state != MACHINE_STATE_RUNNING || machine->supervisor == NULL ||
	    supervisor_signal(machine->supervisor, signal) < 0)
		return err_set(err, EBUSY, "machine '%s' is %s, not running", machine->name,
			       machine_state_name(machine->state));
	return 0;
}

void machine_kill(struct machine *machine)
{
	machine->stop_asked = true;
	if (machine->supervisor != NULL)
		supervisor_kill(machine->supervisor);
}

/* ---- deletion ---- */

struct removal {
	uv_work_t work;
	struct machine *machine;
	char *directory;
	int outcome;
};

static void remove_directory(uv_work_t *work)
{
	struct removal *removal = (struct removal *)work;

	removal->outcome = file_remove_tree(removal->directory);
}

static int finish_removal(struct machine *machine, int outcome, const char *directory,
			  struct err *err)
{
	_cleanup_free_ char *run_dir = machine_run_directory(machine);
	struct machine_events events = {0};

	if (outcome >= 0)
		outcome = file_remove_tree(run_dir);
	if (outcome < 0)
		return err_set_errno(err, -outcome, "cannot remove '%s' whole", directory);
	machine_events_add(&events, machine, "machine.deleted");
	outcome = store_machine_delete(machine->server->store, machine->id, events.items, err);
	machine_events_done(&events);
	if (outcome >= 0)
		events_wake(machine->server);
	return outcome;
}

static void on_removed(uv_work_t *work, int status)
{
	struct removal *removal = (struct removal *)work;
	struct machine *machine = removal->machine;
	struct err err = {0};

	machine->remove_running = false;
	if (finish_removal(machine, removal->outcome, removal->directory, &err) < 0) {
		/* Still there, and still to be deleted: by another try or the next krun-api. */
		log_error("machine %s: %s", machine->id, err.text);
		snprintf(machine->delete_error, sizeof(machine->delete_error), "%.250s", err.text);
		notify(machine, MACHINE_EVENT_DELETE_FAILED);
	} else {
		machines_remove(&machine->server->machines, machine);
		notify(machine, MACHINE_EVENT_DELETED);
		machine_free(machine);
	}
	free(removal->directory);
	free(removal);
}

int machine_delete(struct machine *machine, struct err *err)
{
	struct removal *removal;
	int r;

	if (machine_state_is_live(machine->state))
		return err_set(err, EBUSY, "machine '%s' is %s: stop it first, or force it",
			       machine->name, machine_state_name(machine->state));
	if (machine->remove_running)
		return 0;
	machine->is_deleting = true;
	machine->restart_due = false;
	restart_forget(machine);
	r = save(machine, NULL, err);
	/* On a full disk deleting is the way out: its files make the room that the database needs. */
	if (r < 0 && r != -ENOSPC) {
		machine->is_deleting = false;
		return r;
	}
	machine->remove_running = true;
	removal = mem_new(struct removal);
	removal->machine = machine;
	removal->directory = machine_directory(machine);
	uv_queue_work(machine->server->loop, &removal->work, remove_directory, on_removed);
	return 0;
}
