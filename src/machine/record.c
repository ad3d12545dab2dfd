/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/record.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "wire/limits.h"

#define RECORD_VERSION 1
#define AT(member)     offsetof(struct machine_record, member)

void machine_record_init(struct machine_record *record)
{
	*record = (struct machine_record){.boot_ms = {-1, -1, -1, -1, -1}};
}

void machine_record_done(struct machine_record *record)
{
	free(record->id);
	free(record->reason);
	free(record->backend);
	free(record->guest_ip);
	machine_ports_done(&record->ports);
	machine_record_init(record);
}

static void write_process(struct jsonw *w, const char *name, const struct proc_id *id)
{
	char start[24];

	if (id->pid == 0) {
		jsonw_null(w, name);
		return;
	}
	/* As text: a start time may be past what every JSON reader takes as a number. */
	snprintf(start, sizeof(start), "%llu", (unsigned long long)id->start_time);
	jsonw_object_begin(w, name);
	jsonw_int(w, "pid", id->pid);
	jsonw_string(w, "start_time", start);
	jsonw_object_end(w);
}

static void write_ms(struct jsonw *w, const char *name, long long ms)
{
	if (ms < 0)
		jsonw_null(w, name);
	else
		jsonw_int(w, name, ms);
}

void machine_boot_ms_write(struct jsonw *w, const struct machine_boot_ms *boot_ms)
{
	jsonw_object_begin(w, "boot_ms");
	write_ms(w, "spawn", boot_ms->spawn);
	write_ms(w, "kernel", boot_ms->kernel);
	write_ms(w, "root", boot_ms->root);
	write_ms(w, "network", boot_ms->network);
	write_ms(w, "ready", boot_ms->ready);
	jsonw_object_end(w);
}

void machine_exit_write(struct jsonw *w, const struct machine_record *record)
{
	const struct machine_exit *exit = &record->exit;

	if (!record->has_exit) {
		jsonw_null(w, "exit");
		return;
	}
	jsonw_object_begin(w, "exit");
	jsonw_int(w, "code", exit->code);
	if (exit->signal == 0)
		jsonw_null(w, "signal");
	else
		jsonw_int(w, "signal", exit->signal);
	jsonw_bool(w, "oom_killed", exit->oom_killed);
	jsonw_bool(w, "requested", exit->requested);
	jsonw_object_end(w);
}

void machine_record_write(struct jsonw *w, const struct machine_record *record)
{
	jsonw_object_begin(w, NULL);
	jsonw_int(w, "version", RECORD_VERSION);
	jsonw_string(w, "id", record->id);
	jsonw_int(w, "generation", record->generation);
	jsonw_string(w, "state", machine_state_name(record->state));
	jsonw_string(w, "reason", record->reason);
	jsonw_string(w, "backend", record->backend);
	write_process(w, "supervisor", &record->supervisor);
	write_process(w, "vm", &record->vm);
	write_process(w, "net", &record->net);
	jsonw_string(w, "guest_ip", record->guest_ip);
	machine_ports_write(w, "ports", &record->ports);
	machine_boot_ms_write(w, &record->boot_ms);
	jsonw_time(w, "started_at", record->started_at);
	jsonw_time(w, "ready_at", record->ready_at);
	jsonw_time(w, "finished_at", record->finished_at);
	machine_exit_write(w, record);
	jsonw_object_end(w);
}

static int read_state(json_t *value, const char *path, void *target, struct err *err)
{
	if (!json_is_string(value) || machine_state_parse(json_string_value(value), target) < 0)
		return err_set(err, EINVAL, "%s is not a state", path);
	return 0;
}

static int read_time(json_t *value, const char *path, void *target, struct err *err)
{
	if (!json_is_string(value) || clock_parse(json_string_value(value), target) < 0)
		return err_set(err, EINVAL, "%s is not a time", path);
	return 0;
}

static int read_process(json_t *value, const char *path, void *target, struct err *err)
{
	json_t *pid = json_object_get(value, "pid");
	json_t *start_time = json_object_get(value, "start_time");

	if (!json_is_integer(pid) || !json_is_string(start_time) || json_integer_value(pid) < 1 ||
	    json_integer_value(pid) > INT_MAX)
		return err_set(err, EINVAL, "%s is not a process", path);
	*(struct proc_id *)target = (struct proc_id){
		.pid = (pid_t)json_integer_value(pid),
		.start_time = strtoull(json_string_value(start_time), NULL, 10),
	};
	return 0;
}

static const struct json_field boot_ms_fields[] = {
	{"spawn", JSON_WANT_INT, offsetof(struct machine_boot_ms, spawn), .max = LLONG_MAX},
	{"kernel", JSON_WANT_INT, offsetof(struct machine_boot_ms, kernel), .max = LLONG_MAX},
	{"root", JSON_WANT_INT, offsetof(struct machine_boot_ms, root), .max = LLONG_MAX},
	{"network", JSON_WANT_INT, offsetof(struct machine_boot_ms, network), .max = LLONG_MAX},
	{"ready", JSON_WANT_INT, offsetof(struct machine_boot_ms, ready), .max = LLONG_MAX},
	JSON_FIELD_END,
};

static const struct json_field exit_fields[] = {
	{"code", JSON_WANT_INT, offsetof(struct machine_exit, code), .required = true,
	 .max = INT_MAX},
	{"signal", JSON_WANT_INT, offsetof(struct machine_exit, signal), .max = 255},
	{"oom_killed", JSON_WANT_BOOL, offsetof(struct machine_exit, oom_killed)},
	{"requested", JSON_WANT_BOOL, offsetof(struct machine_exit, requested)},
	JSON_FIELD_END,
};

static int read_exit(json_t *value, const char *path, void *target, struct err *err)
{
	struct machine_record *record = target;

	record->has_exit = true;
	return json_read(value, path, exit_fields, &record->exit, err);
}

struct versioned {
	struct machine_record record;
	long long version;
};

static const struct json_field fields[] = {
	{"version", JSON_WANT_INT, offsetof(struct versioned, version), .required = true, .min = 1,
	 .max = RECORD_VERSION},
	{"id", JSON_WANT_STRING, AT(id), .required = true},
	{"generation", JSON_WANT_INT, AT(generation), .required = true, .min = 1, .max = INT_MAX},
	{"state", JSON_WANT_CUSTOM, AT(state), .required = true, .read = read_state},
	{"reason", JSON_WANT_STRING, AT(reason)},
	{"backend", JSON_WANT_STRING, AT(backend)},
	{"supervisor", JSON_WANT_CUSTOM, AT(supervisor), .read = read_process},
	{"vm", JSON_WANT_CUSTOM, AT(vm), .read = read_process},
	{"net", JSON_WANT_CUSTOM, AT(net), .read = read_process},
	{"guest_ip", JSON_WANT_STRING, AT(guest_ip)},
	{"ports", JSON_WANT_CUSTOM, AT(ports), .read = machine_ports_read},
	{"boot_ms", JSON_WANT_OBJECT, AT(boot_ms), .fields = boot_ms_fields},
	{"started_at", JSON_WANT_CUSTOM, AT(started_at), .read = read_time},
	{"ready_at", JSON_WANT_CUSTOM, AT(ready_at), .read = read_time},
	{"finished_at", JSON_WANT_CUSTOM, AT(finished_at), .read = read_time},
	{"exit", JSON_WANT_CUSTOM, 0, .read = read_exit},
	JSON_FIELD_END,
};

int machine_record_parse(struct machine_record *record, const char *text, size_t length,
			 struct err *err)
{
	_cleanup_json_ json_t *object = NULL;
	struct versioned versioned;
	int r;

	r = json_parse(text, length, &object, err);
	if (r < 0)
		return r;
	machine_record_init(&versioned.record);
	r = json_read(object, "", fields, &versioned, err);
	if (r < 0) {
		machine_record_done(&versioned.record);
		return r;
	}
	machine_record_done(record);
	*record = versioned.record;
	return 0;
}

int machine_record_save(const struct machine_record *record, const char *directory,
			const char *file, struct err *err)
{
	_cleanup_free_ char *path = path_join(directory, file);
	_cleanup_buf_ struct buf text;
	struct jsonw w;
	int r;

	buf_init(&text, LIMIT_RECORD_BYTES);
	jsonw_init(&w, &text);
	machine_record_write(&w, record);
	r = jsonw_finish(&w);
	if (r >= 0)
		r = buf_append_char(&text, '\n');
	if (r >= 0)
		r = file_write_atomic(path, text.data, text.length, 0600);
	return r < 0 ? err_set_errno(err, -r, "cannot write '%s'", path) : 0;
}

int machine_record_load(struct machine_record *record, const char *directory, const char *file,
			struct err *err)
{
	_cleanup_free_ char *path = path_join(directory, file);
	_cleanup_buf_ struct buf text;
	int r;

	buf_init(&text, LIMIT_RECORD_BYTES);
	r = file_read(path, &text);
	if (r < 0)
		return err_set_errno(err, -r, "cannot read '%s'", path);
	r = machine_record_parse(record, text.data, text.length, err);
	return r < 0 ? err_prefix(err, "'%s'", path) : 0;
}
