/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "bounds.h"
#include "find_http.h"
#include "handlers.h"
#include "image.h"
#include "import.h"
#include "request.h"
#include "server.h"
#include "store.h"

static void image_write(struct jsonw *w, const char *name, const struct store_image *image)
{
	jsonw_object_begin(w, name);
	jsonw_string(w, "digest", image->digest);
	jsonw_strings(w, "names", image->names);
	jsonw_string(w, "architecture", image->architecture);
	jsonw_string(w, "os", image->os);
	jsonw_int(w, "size_bytes", image->size_bytes);
	jsonw_int(w, "content_bytes", image->content_bytes);
	jsonw_raw(w, "config", image->config, strlen(image->config));
	jsonw_time(w, "created_at", image->created_at);
	jsonw_object_end(w);
}

static void reply_image_errno(struct request *request, int r, const struct err *err)
{
	if (r == -ENOENT || r == -EINVAL)
		reply_error(request, 404, "image_not_found", "%s", err->text);
	else if (r == -EMLINK)
		reply_error(request, 409, "ambiguous_id", "%s", err->text);
	else if (r == -EBUSY)
		reply_error(request, 409, "image_in_use", "%s", err->text);
	else
		reply_errno(request, r, err);
}

/* Looks it up and answers; `progress`: as the last line of a stream. */
static int write_image(struct request *request, const char *digest, struct buf *out,
		       struct err *err)
{
	struct store_image image;
	struct jsonw w;
	int r = store_image_find(request->server->store, digest, &image, err);

	if (r < 0)
		return r;
	jsonw_init(&w, out);
	image_write(&w, NULL, &image);
	store_image_done(&image);
	r = jsonw_finish(&w);
	return r < 0 ? err_set(err, EMSGSIZE, "the image is too large to be shown") : 0;
}

static void reply_image(struct request *request, int status, const char *digest)
{
	struct err err = {0};
	struct buf body;
	int r;

	buf_init(&body, HTTP_REPLY_BYTES_MAX);
	r = write_image(request, digest, &body, &err);
	if (r < 0) {
		buf_done(&body);
		reply_image_errno(request, r, &err);
		return;
	}
	reply_json(request, status, &body);
}

void images_http_get(struct request *request)
{
	char digest[IMAGE_DIGEST_BYTES];
	struct err err = {0};
	int r = image_resolve(request->server, request->param, digest, &err);

	if (r < 0)
		reply_image_errno(request, r, &err);
	else
		reply_image(request, 200, digest);
}

static int write_one(const struct store_image *image, void *user, struct err *err)
{
	image_write(user, NULL, image);
	return 0;
}

void images_http_list(struct request *request)
{
	struct err err = {0};
	struct buf body;
	struct jsonw w;
	int r;

	buf_init(&body, HTTP_REPLY_BYTES_MAX);
	jsonw_init(&w, &body);
	jsonw_object_begin(&w, NULL);
	jsonw_array_begin(&w, "images");
	r = store_images_each(request->server->store, write_one, &w, &err);
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	if (r >= 0 && jsonw_finish(&w) < 0)
		r = err_set(&err, EMSGSIZE, "the list is too large to be shown");
	if (r < 0) {
		buf_done(&body);
		reply_errno(request, r, &err);
		return;
	}
	reply_json(request, 200, &body);
}

void images_http_delete(struct request *request)
{
	struct err err = {0};
	int r = image_delete(request->server, request->param, &err);

	if (r < 0)
		reply_image_errno(request, r, &err);
	else
		reply_empty(request, 204);
}

/* ---- import ---- */

static void begin_stream(struct request *request)
{
	if (!request->streaming)
		stream_begin(request, 201, "application/x-ndjson");
}

/* How far it is; a client that reads slowly gets less of it. */
static void on_progress(void *user, const char *line, size_t length)
{
	struct request *request = user;
	_cleanup_buf_ struct buf out;

	buf_init(&out, 2 * IMAGE_EVENT_BYTES_MAX);
	if (!request->wants_ndjson)
		return;
	begin_stream(request);
	if (buf_append(&out, line, length) >= 0 && buf_append_char(&out, '\n') >= 0)
		stream_write(request, out.data, out.length);
}

static void on_pause(void *user, int pause)
{
	if (pause)
		request_pause_body(user);
	else
		request_resume_body(user);
}

/* The last line of a stream says how it ended. */
static void end_stream(struct request *request, const struct import_result *result)
{
	_cleanup_buf_ struct buf out, image;
	struct err err = {0};
	struct jsonw w;

	buf_init(&out, 2 * HTTP_REPLY_BYTES_MAX);
	buf_init(&image, HTTP_REPLY_BYTES_MAX);
	jsonw_init(&w, &out);
	jsonw_object_begin(&w, NULL);
	if (result->digest != NULL && write_image(request, result->digest, &image, &err) >= 0) {
		jsonw_string(&w, "event", "done");
		jsonw_string(&w, "digest", result->digest);
		jsonw_raw(&w, "image", image.data, image.length);
	} else {
		jsonw_string(&w, "event", "error");
		jsonw_string(&w, "error", result->digest != NULL ? err.text : result->sentence);
		jsonw_string(&w, "code", result->digest != NULL ? "internal" : result->code);
		jsonw_string(&w, "request_id", request->id);
	}
	jsonw_object_end(&w);
	if (jsonw_finish(&w) >= 0 && buf_append_char(&out, '\n') >= 0)
		stream_write(request, out.data, out.length);
	stream_end(request);
}

static void on_import_end(void *user, const struct import_result *result)
{
	struct request *request = user;

	if (result->digest == NULL && result->status >= 500)
		log_error("request %s: %s", request->id, result->sentence);
	/* Before the first line of a stream an error is still an ordinary one. */
	if (request->streaming || (request->wants_ndjson && result->digest != NULL)) {
		begin_stream(request);
		end_stream(request, result);
	} else if (result->digest != NULL) {
		reply_image(request, 201, result->digest);
	} else {
		reply_error(request, result->status, result->code, "%s", result->sentence);
	}
}

static void on_body(struct request *request, const char *data, size_t length)
{
	import_data(request->data, data, length);
}

static void on_body_end(struct request *request)
{
	import_data_end(request->data);
}

static void on_gone(struct request *request)
{
	import_free(request->data);
}

void images_http_import(struct request *request)
{
	static const struct import_calls calls = {.on_progress = on_progress,
						  .on_pause = on_pause,
						  .on_end = on_import_end};
	static const struct query_field fields[] = {{"name", QUERY_TEXT, 0}, QUERY_FIELD_END};
	char name[IMAGE_NAME_BYTES_MAX + 1];
	const char *asked = NULL;
	struct import *import;
	struct err err = {0};
	int r = query_read(&request->query, fields, &asked, &err);

	if (r >= 0 && asked != NULL)
		r = image_name_normalise(asked, name, &err);
	if (r < 0) {
		reply_error(request, 400, "invalid_query", "%s", err.text);
		return;
	}
	if (!request->has_body) {
		reply_error(request, 400, "missing_body", "send the archive as the body");
		return;
	}
	if (request->content_length > IMAGE_UPLOAD_BYTES_MAX) {
		reply_error(request, 413, "body_too_large", "the archive is larger than 64 GiB");
		return;
	}
	r = import_new(request->server,
		       &(struct import_order){.name = asked == NULL ? NULL : name,
					      .expected_bytes = request->content_length,
					      .calls = &calls,
					      .user = request},
		       &import, &err);
	if (r == -EBUSY) {
		reply_error(request, 429, "too_many_imports", "%s", err.text);
		return;
	}
	if (r < 0) {
		reply_errno(request, r, &err);
		return;
	}
	request->data = import;
	request->on_body = on_body;
	request->on_body_end = on_body_end;
	request->on_gone = on_gone;
}
