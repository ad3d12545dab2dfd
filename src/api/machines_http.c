/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "bounds.h"
#include "disk.h"
#include "find_http.h"
#include "handlers.h"
#include "idempotency.h"
#include "image.h"
#include "launch.h"
#include "lifecycle_http.h"
#include "machine.h"
#include "request.h"
#include "server.h"

/* ---- create ---- */

static const struct query_field create_query_fields[] = {
	{"wait", QUERY_TEXT, offsetof(struct start_query, wait)},
	{"timeout", QUERY_SECONDS, offsetof(struct start_query, timeout_ms), 0, WAIT_TIMEOUT_S_MAX},
	{"start", QUERY_BOOL, offsetof(struct start_query, start)},
	QUERY_FIELD_END,
};

struct creation {
	size_t volumes_done;
	struct request *request;
	struct machine *machine;
	struct start_query query;
};

static void give_up(struct creation *creation)
{
	struct machine *machine = creation->machine;
	_cleanup_free_ char *directory = machine_directory(machine);

	machines_remove(&creation->request->server->machines, machine);
	machine_free(machine);
	if (file_remove_tree(directory) < 0)
		log_warn("cannot remove '%s'", directory);
	free(creation);
}

static void on_disk(void *user, int outcome, const char *sentence)
{
	struct creation *creation = user;
	struct request *request = creation->request;
	struct machine *machine = creation->machine;
	struct start_query query = creation->query;
	struct err err = {0};
	int r;

	if (outcome < 0) {
		give_up(creation);
		if (outcome == -EBUSY)
			reply_error(request, 409, "volume_in_use", "%s", sentence);
		else
			reply_error(request, outcome == -ENOSPC ? 503 : 500,
				    outcome == -ENOSPC ? "disk_full" : "disk_failed", "%s",
				    sentence);
		return;
	}
	r = machine_insert(machine, query.start, idempotency_row(request, machine->id), &err);
	if (r < 0) {
		give_up(creation);
		reply_errno(request, r, &err);
		return;
	}
	machine->is_creating = false;
	free(creation);
	if (query.start)
		start_and_reply(request, machine, &query, 201);
	else
		reply_machine(request, 201, machine);
}

static int resolve_image(struct request *request, struct machine *machine, struct err *err)
{
	char digest[IMAGE_DIGEST_BYTES];
	int r;

	if (machine->config.image == NULL)
		return 0;
	r = image_resolve(request->server, machine->config.image, digest, err);
	if (r == -ENOENT || r == -EMLINK || r == -EINVAL) {
		err_prefix(err, "config.image");
		return -EDOM;
	}
	if (r >= 0)
		machine->image_digest = mem_strdup(digest);
	return r;
}

/* All that can be known to be wrong before anything is made. */
static int check(struct request *request, struct machine *machine, struct err *err)
{
	struct merged merged = {0};
	int r = launch_check_host(&machine->config, err);

	if (r >= 0)
		r = resolve_image(request, machine, err);
	if (r >= 0)
		r = launch_merge(machine, &merged, err);
	merged_done(&merged);
	return r;
}

static int read_machine(struct request *request, struct machine **ret_machine, struct err *err)
{
	_cleanup_json_ json_t *body = NULL;
	struct machine_request asked;
	int r = json_parse(request->body.data == NULL ? "" : request->body.data,
			   request->body.length, &body, err);

	if (r < 0)
		return r;
	machine_request_init(&asked);
	r = machine_request_read(&asked, body, err);
	if (r >= 0)
		*ret_machine = machine_new(request->server, &asked);
	machine_request_done(&asked);
	return r < 0 ? r : 0;
}

static void make_disk(struct creation *creation)
{
	struct machine *machine = creation->machine;
	_cleanup_free_ char *disk = machine_disk_path(machine);

	if (machine->image_digest == NULL)
		on_disk(creation, 0, NULL); /* a directory of the host needs no disk */
	else
		disk_make(machine->server, DISK_MACHINE, machine->config.disk_mib, disk, on_disk,
			  creation);
}

static void on_volume(void *user, int outcome, const char *sentence);

/* Those that it names and that are not there, one after the other; then its disk. */
static void make_volumes(struct creation *creation)
{
	const struct machine_volumes *volumes = &creation->machine->config.volumes;
	struct server *server = creation->machine->server;
	struct err err = {0};

	while (creation->volumes_done < volumes->count) {
		const char *name = volumes->items[creation->volumes_done].volume;
		int r = name == NULL ? 1 : volume_ensure(server, name, on_volume, creation, &err);

		if (r < 0)
			on_disk(creation, r, err.text);
		if (r <= 0)
			return;
		creation->volumes_done++;
	}
	make_disk(creation);
}

static void on_volume(void *user, int outcome, const char *sentence)
{
	struct creation *creation = user;

	if (outcome < 0) {
		on_disk(creation, outcome, sentence);
		return;
	}
	creation->volumes_done++;
	make_volumes(creation);
}

/* Its directory, its volumes, then its disk, then its row; see on_disk(). */
static void make_machine(struct request *request, struct machine *machine,
			 const struct start_query *query)
{
	_cleanup_free_ char *directory = machine_directory(machine);
	_cleanup_free_ char *log_directory = path_join(directory, "log");
	struct creation *creation = mem_new(struct creation);
	int r = file_mkdir_all(log_directory, 0700);

	creation->request = request;
	creation->machine = machine;
	creation->query = *query;
	machine->is_creating = true;
	if (r < 0)
		on_disk(creation, r, "cannot make the machine's directory");
	else
		make_volumes(creation);
}

void machines_http_create(struct request *request)
{
	struct machine *machine = NULL;
	struct start_query query;
	struct err err = {0};
	int r;

	if (!idempotency_begin(request))
		return;
	r = start_query_read(request, create_query_fields, &query, &err);
	if (r >= 0)
		r = read_machine(request, &machine, &err);
	if (r >= 0)
		r = check(request, machine, &err);
	if (r >= 0)
		r = machines_add(&request->server->machines, machine, &err);
	if (r == -ENOSPC) {
		machine_free(machine);
		reply_error(request, 503, "at_capacity", "%s", err.text);
		return;
	}
	if (r < 0) {
		machine_free(machine);
		reply_errno(request, r, &err);
		return;
	}
	make_machine(request, machine, &query);
}

/* ---- read ---- */

void machines_http_get(struct request *request)
{
	struct machine *machine = find_machine(request);

	if (machine != NULL)
		reply_machine(request, 200, machine);
}

struct list_query {
	const char *cursor;
	long long limit;
	struct query_texts states, labels;
};

static int read_list_query(const struct request *request, struct list_query *query,
			   unsigned *ret_states, struct err *err)
{
	static const struct query_field fields[] = {
		{"state", QUERY_TEXTS, offsetof(struct list_query, states)},
		{"label", QUERY_TEXTS, offsetof(struct list_query, labels)},
		{"limit", QUERY_INT, offsetof(struct list_query, limit), 1, LIST_ITEMS_MAX},
		{"cursor", QUERY_TEXT, offsetof(struct list_query, cursor)},
		QUERY_FIELD_END,
	};
	int r;

	*query = (struct list_query){.limit = LIST_ITEMS_USUAL};
	*ret_states = 0;
	r = query_read(&request->query, fields, query, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < query->states.count; i++) {
		enum machine_state state;

		if (machine_state_parse(query->states.items[i], &state) < 0)
			return err_set(err, EINVAL, "query: there is no state '%.40s'",
				       query->states.items[i]);
		*ret_states |= 1U << state;
	}
	for (size_t i = 0; i < query->labels.count; i++) {
		if (query->labels.items[i][0] == '\0' || query->labels.items[i][0] == '=')
			return err_set(err, EINVAL, "query: label must be key=value or key");
	}
	if (query->cursor != NULL && !machine_id_is_valid(query->cursor))
		return err_set(err, EINVAL, "query: cursor is not one that a list gave");
	return 0;
}

/* "key=value", or "key" for any value. */
static bool has_label(const struct machine *machine, const char *wanted)
{
	size_t length = strlen(wanted);

	if (strchr(wanted, '=') != NULL)
		return strv_contains(machine->labels, wanted);
	for (char **label = machine->labels; label != NULL && *label != NULL; label++) {
		if (strncmp(*label, wanted, length) == 0 && (*label)[length] == '=')
			return true;
	}
	return false;
}

static bool is_listed(const struct machine *machine, const struct list_query *query,
		      unsigned states)
{
	if (machine->is_creating || (states != 0 && (states & 1U << machine->state) == 0))
		return false;
	for (size_t i = 0; i < query->labels.count; i++) {
		if (!has_label(machine, query->labels.items[i]))
			return false;
	}
	return true;
}

/* From the newest that is older than the cursor. Returns the cursor to go on with, or NULL. */
static const char *write_list(struct jsonw *w, const struct machines *machines,
			      const struct list_query *query, unsigned states)
{
	size_t i = query->cursor == NULL ? machines->count
					 : machines_lower_bound(machines, query->cursor);
	const char *last = NULL;
	long long count = 0;

	for (; i > 0; i--) {
		const struct machine *machine = machines->by_id[i - 1];

		if (!is_listed(machine, query, states))
			continue;
		if (count++ == query->limit)
			return last;
		machine_write(w, NULL, machine);
		last = machine->id;
	}
	return NULL;
}

void machines_http_list(struct request *request)
{
	struct list_query query;
	struct err err = {0};
	const char *cursor;
	unsigned states;
	struct buf body;
	struct jsonw w;

	if (read_list_query(request, &query, &states, &err) < 0) {
		reply_error(request, 400, "invalid_query", "%s", err.text);
		return;
	}
	buf_init(&body, HTTP_REPLY_BYTES_MAX);
	jsonw_init(&w, &body);
	jsonw_object_begin(&w, NULL);
	jsonw_array_begin(&w, "machines");
	cursor = write_list(&w, &request->server->machines, &query, states);
	jsonw_array_end(&w);
	jsonw_string(&w, "next_cursor", cursor);
	jsonw_object_end(&w);
	if (jsonw_finish(&w) < 0) {
		buf_done(&body);
		reply_error(request, 422, "list_too_large", "ask for fewer machines with limit");
		return;
	}
	reply_json(request, 200, &body);
}

/* ---- delete ---- */

/* A deletion that was asked for and goes on whether or not the client stays. */
struct deletion {
	struct observer observer;
	struct request *request;
	struct machine *machine;
};

static void end_deletion(struct deletion *deletion, const char *sentence)
{
	struct request *request = deletion->request;

	machine_unobserve(&deletion->observer);
	free(deletion);
	if (sentence == NULL)
		reply_empty(request, 204);
	else
		reply_error(request, 500, "delete_failed", "%s", sentence);
}

static void on_deletion_event(struct observer *observer, enum machine_event event)
{
	struct deletion *deletion = (struct deletion *)observer;
	struct machine *machine = deletion->machine;
	struct err err = {0};

	if (event == MACHINE_EVENT_DELETED)
		end_deletion(deletion, NULL);
	else if (event == MACHINE_EVENT_DELETE_FAILED)
		end_deletion(deletion, machine->delete_error);
	else if (event == MACHINE_EVENT_CHANGED && !machine_state_is_live(machine->state) &&
		 machine_delete(machine, &err) < 0)
		end_deletion(deletion, err.text);
}

void machines_http_delete(struct request *request)
{
	static const struct query_field fields[] = {{"force", QUERY_BOOL, 0}, QUERY_FIELD_END};
	struct machine *machine = find_machine(request);
	struct deletion *deletion;
	struct err err = {0};
	bool force = false;
	int r = 0;

	if (machine == NULL)
		return;
	if (query_read(&request->query, fields, &force, &err) < 0) {
		reply_error(request, 400, "invalid_query", "%s", err.text);
		return;
	}
	if (!force || !machine_state_is_live(machine->state))
		r = machine_delete(machine, &err);
	if (r < 0) {
		reply_errno(request, r, &err);
		return;
	}
	deletion = mem_new(struct deletion);
	deletion->request = request;
	deletion->machine = machine;
	deletion->observer.notify = on_deletion_event;
	machine_observe(machine, &deletion->observer);
	machine_kill(machine);
}
