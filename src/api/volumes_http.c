/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "bounds.h"
#include "find_http.h"
#include "handlers.h"
#include "machine.h"
#include "request.h"
#include "server.h"
#include "volumes.h"

static void write_volume(struct jsonw *w, const struct server *server, const struct volume *volume)
{
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "name", volume->name);
	jsonw_int(w, "size_mib", volume->size_mib);
	jsonw_time(w, "created_at", volume->created_at);
	jsonw_array_begin(w, "machines");
	for (size_t i = 0; i < server->machines.count; i++) {
		const struct machine *machine = server->machines.by_id[i];

		if (!machine->is_creating && volume_is_of(volume->name, machine))
			jsonw_string(w, NULL, machine->name);
	}
	jsonw_array_end(w);
	jsonw_object_end(w);
}

static void reply_volume(struct request *request, int status, const struct volume *volume)
{
	struct buf body;
	struct jsonw w;

	buf_init(&body, HTTP_REPLY_BYTES_MAX);
	jsonw_init(&w, &body);
	write_volume(&w, request->server, volume);
	/* At most MACHINES_MAX names. */
	(void)!jsonw_finish(&w);
	reply_json(request, status, &body);
}

void volumes_http_list(struct request *request)
{
	const struct volumes *volumes = &request->server->volumes;
	struct buf body;
	struct jsonw w;

	buf_init(&body, HTTP_REPLY_BYTES_MAX);
	jsonw_init(&w, &body);
	jsonw_object_begin(&w, NULL);
	jsonw_array_begin(&w, "volumes");
	for (size_t i = 0; i < volumes->count; i++) {
		const struct volume *volume = volumes->items[i];

		if (!volume->is_making && !volume->is_deleting)
			write_volume(&w, request->server, volume);
	}
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	if (jsonw_finish(&w) < 0) {
		buf_done(&body);
		reply_error(request, 500, "internal", "the list is too large to be shown");
		return;
	}
	reply_json(request, 200, &body);
}

static struct volume *find(struct request *request)
{
	struct volume *volume = volumes_find(&request->server->volumes, request->param);

	if (volume == NULL)
		reply_error(request, 404, "volume_not_found", "there is no volume '%.100s'",
			    request->param);
	return volume;
}

void volumes_http_get(struct request *request)
{
	struct volume *volume = find(request);

	if (volume != NULL)
		reply_volume(request, 200, volume);
}

/* ---- making ---- */

struct volume_body {
	char *name;
	long long size_mib;
};

static int read_body(const struct request *request, struct volume_body *asked, struct err *err)
{
	static const struct json_field fields[] = {
		{"name", JSON_WANT_STRING, offsetof(struct volume_body, name), .required = true},
		{"size_mib", JSON_WANT_INT, offsetof(struct volume_body, size_mib),
		 .min = LIMIT_DISK_MIB_MIN, .max = LIMIT_DISK_MIB_MAX},
		JSON_FIELD_END,
	};
	_cleanup_json_ json_t *body = NULL;
	int r = json_parse(request->body.data == NULL ? "" : request->body.data,
			   request->body.length, &body, err);

	if (r >= 0)
		r = json_read(body, "", fields, asked, err);
	if (r >= 0 && machine_name_check(asked->name, err) < 0)
		return -EDOM;
	return r;
}

/* The request stays until its volume is made, whether or not its client does. */
struct making {
	struct request *request;
	char *name;
};

static void on_made(void *user, int outcome, const char *sentence)
{
	struct making *making = user;
	struct request *request = making->request;
	_cleanup_free_ char *name = making->name;
	struct volume *volume = volumes_find(&request->server->volumes, name);

	free(making);
	if (outcome < 0 || volume == NULL)
		reply_error(request, outcome == -ENOSPC ? 503 : 500,
			    outcome == -ENOSPC ? "disk_full" : "disk_failed", "%s",
			    sentence == NULL ? "the volume is gone again" : sentence);
	else
		reply_volume(request, 201, volume);
}

void volumes_http_create(struct request *request)
{
	struct volume_body asked = {.size_mib = VOLUME_SIZE_MIB_USUAL};
	struct making *making = mem_new(struct making);
	struct err err = {0};
	int r = read_body(request, &asked, &err);

	making->request = request;
	making->name = asked.name;
	if (r >= 0)
		r = volume_make(request->server, asked.name, asked.size_mib, on_made, making, &err);
	if (r >= 0)
		return;
	free(making->name);
	free(making);
	reply_errno(request, r, &err);
}

/* ---- deleting ---- */

static void on_deleted(void *user, int outcome, const char *sentence)
{
	struct request *request = user;

	if (outcome < 0)
		reply_error(request, 500, "delete_failed", "%s", sentence);
	else
		reply_empty(request, 204);
}

void volumes_http_delete(struct request *request)
{
	struct volume *volume = find(request);
	struct err err = {0};
	int r;

	if (volume == NULL)
		return;
	r = volume_delete(request->server, volume, on_deleted, request, &err);
	if (r == -EBUSY)
		reply_error(request, 409, "volume_in_use", "%s", err.text);
	else if (r < 0)
		reply_errno(request, r, &err);
}
