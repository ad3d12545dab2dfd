/* SPDX-License-Identifier: Apache-2.0 */
#include "import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "bounds.h"
#include "events.h"
#include "image.h"
#include "server.h"
#include "store.h"
#include "worker.h"

enum phase {
	PHASE_RECEIVING,
	PHASE_WORKING,
	PHASE_PLACING,
};

struct import {
	struct server *server;
	const struct import_calls *calls; /* NULL: nobody waits any more */
	void *user;
	enum phase phase;
	char *archive_path, *output_path;
	char *name; /* asked for; NULL: those of the archive */
	int fd;     /* of the archive */

	/* Receiving: one buffer is filled while the other is written. */
	struct buf filling, writing;
	size_t written; /* of `writing` */
	uint64_t received_bytes;
	uv_work_t write;
	int write_outcome;
	bool write_running, paused, data_ended;

	struct worker *worker;
	struct store_image image;
	bool has_config, is_known, is_done;
	char code[48], sentence[ERR_TEXT_BYTES_MAX]; /* an error, once code is set */

	uv_work_t place;
	char *place_path;
	int place_outcome;
};

static void fail(struct import *import, const char *code, const char *sentence)
{
	if (import->code[0] != '\0')
		return;
	snprintf(import->code, sizeof(import->code), "%s", code);
	snprintf(import->sentence, sizeof(import->sentence), "%s", sentence);
}

/* Whose fault an error is: the archive's, unless it is one of these. */
static int status_of(const char *code)
{
	static const struct {
		const char *code;
		int status;
	} ours[] = {
		{"disk_full", 503},
		{"io_error", 500},
		{"internal", 500},
		{"worker_failed", 500},
		{"worker_crashed", 500},
		{"body_too_large", 413},
		{"image_worker_missing", 503},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		if (strcmp(ours[i].code, code) == 0)
			return ours[i].status;
	}
	return 422;
}

/* Nothing of it runs any more. */
static void end(struct import *import)
{
	struct import_result result = {.digest = import->image.digest};

	unlink(import->archive_path);
	unlink(import->output_path);
	fd_close(import->fd);
	import->server->import_count--;
	if (import->code[0] != '\0')
		result = (struct import_result){.code = import->code,
						.sentence = import->sentence,
						.status = status_of(import->code)};
	if (import->calls != NULL)
		import->calls->on_end(import->user, &result);
	buf_done(&import->filling);
	buf_done(&import->writing);
	store_image_done(&import->image);
	free(import->archive_path);
	free(import->output_path);
	free(import->place_path);
	free(import->name);
	free(import);
}

static bool is_abandoned(const struct import *import)
{
	return import->calls == NULL;
}

/* ---- placing ---- */

static int sync_file(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static void place(uv_work_t *work)
{
	struct import *import = work->data;
	int r = sync_file(import->output_path);

	if (r >= 0 && rename(import->output_path, import->place_path) < 0)
		r = -errno;
	if (r >= 0)
		r = file_sync_parent(import->place_path);
	import->place_outcome = r;
}

/* Names that the archive gives and that are none stay out. */
static void clean_names(struct import *import)
{
	_cleanup_strv_ char **names = take_ptr(import->image.names);
	char normal[IMAGE_NAME_BYTES_MAX + 1];

	if (import->name != NULL) {
		strv_push(&import->image.names, import->name);
		return;
	}
	for (char **name = names; name != NULL && *name != NULL; name++) {
		if (image_name_normalise(*name, normal, NULL) >= 0)
			strv_push(&import->image.names, normal);
	}
}

static void insert_row(struct import *import)
{
	const struct store_image *image = &import->image;
	_cleanup_free_ char *attributes = NULL;
	struct store_event event;
	struct err err = {0};
	int r;

	clean_names(import);
	event = event_of_thing("image.imported",
			       image->names == NULL ? image->digest : image->names[0], "digest",
			       image->digest, &attributes);
	r = store_image_insert(import->server->store, image, &event, &err);
	if (r < 0)
		fail(import, r == -ENOSPC ? "disk_full" : "internal", err.text);
	else
		events_wake(import->server);
}

static void on_placed(uv_work_t *work, int status)
{
	struct import *import = work->data;
	char sentence[256];

	if (import->place_outcome < 0) {
		snprintf(sentence, sizeof(sentence), "cannot keep the image: %s",
			 strerror(-import->place_outcome));
		fail(import, import->place_outcome == -ENOSPC ? "disk_full" : "io_error", sentence);
	} else {
		insert_row(import);
	}
	end(import);
}

static void start_placing(struct import *import)
{
	import->phase = PHASE_PLACING;
	import->place_path = image_path(import->server, import->image.digest);
	import->place.data = import;
	uv_queue_work(import->server->loop, &import->place, place, on_placed);
}

/* ---- krun-image ---- */

static bool is_known(struct import *import)
{
	_cleanup_free_ char *path = image_path(import->server, import->image.digest);
	struct store_image image;
	int r = store_image_find(import->server->store, import->image.digest, &image, NULL);

	store_image_done(&image);
	return r >= 0 && access(path, R_OK) == 0;
}

static void on_config(struct import *import, json_t *event)
{
	const char *digest = json_string_value(json_object_get(event, "digest"));
	const char *architecture = json_string_value(json_object_get(event, "architecture"));
	const char *os = json_string_value(json_object_get(event, "os"));
	json_t *config = json_object_get(event, "config"), *name;
	struct store_image *image = &import->image;
	char *text;
	size_t i;

	if (digest == NULL || !image_digest_is_valid(digest) || image->digest != NULL) {
		fail(import, "internal", "krun-image gave no digest");
		return;
	}
	image->digest = mem_strdup(digest);
	image->architecture = mem_strdup(architecture == NULL ? "" : architecture);
	image->os = mem_strdup(os == NULL ? "" : os);
	text = json_is_object(config) ? json_dumps(config, JSON_COMPACT) : NULL;
	image->config = text == NULL ? mem_strdup("{}") : text;
	image->created_at = clock_realtime_ns();
	json_array_foreach(json_object_get(event, "names"), i, name) {
		if (json_is_string(name) && i < 64)
			strv_push(&image->names, json_string_value(name));
	}
	import->has_config = true;
	import->is_known = is_known(import);
	if (import->is_known)
		worker_kill(import->worker);
}

static void on_done(struct import *import, json_t *event)
{
	import->image.size_bytes = json_integer_value(json_object_get(event, "size_bytes"));
	import->image.content_bytes = json_integer_value(json_object_get(event, "content_bytes"));
	import->is_done = import->has_config;
}

static void on_error(struct import *import, json_t *event)
{
	const char *code = json_string_value(json_object_get(event, "code"));
	const char *sentence = json_string_value(json_object_get(event, "error"));

	fail(import, code == NULL ? "internal" : code,
	     sentence == NULL ? "krun-image failed without a sentence" : sentence);
}

static void on_line(void *user, const char *line, size_t length)
{
	static const struct {
		const char *name;
		void (*take)(struct import *import, json_t *event);
	} events[] = {{"config", on_config}, {"done", on_done}, {"error", on_error}};
	struct import *import = user;
	_cleanup_json_ json_t *event = NULL;
	const char *name;

	if (import->is_known || json_parse(line, length, &event, NULL) < 0)
		return;
	name = json_string_value(json_object_get(event, "event"));
	for (size_t i = 0; i < ARRAY_SIZE(events) && name != NULL; i++) {
		if (strcmp(events[i].name, name) == 0)
			events[i].take(import, event);
	}
	if (name != NULL && import->calls != NULL && strcmp(name, "done") != 0 &&
	    strcmp(name, "error") != 0)
		import->calls->on_progress(import->user, line, length);
}

static void on_worker_end(void *user, const struct worker_end *worker_end)
{
	struct import *import = user;

	import->worker = NULL;
	if (is_abandoned(import) && !import->is_known) {
		fail(import, "cancelled", "the client went away");
		end(import);
		return;
	}
	if (import->is_known && import->code[0] == '\0') {
		insert_row(import); /* for the name */
		end(import);
		return;
	}
	if (import->code[0] == '\0' && (!worker_end->ok || !import->is_done)) {
		log_error("importing an image: %s", worker_end->sentence);
		fail(import, "worker_failed", worker_end->sentence);
	}
	if (import->code[0] != '\0')
		end(import);
	else
		start_placing(import);
}

static void start_work(struct import *import)
{
	struct server *server = import->server;
	char *argv[] = {(char *)"krun-image", (char *)"import", (char *)"--output",
			import->output_path, NULL};
	const struct worker_job job = {.path = server->settings->image_path,
				       .argv = argv,
				       .stdin_fd = import->fd,
				       .timeout_ms = IMAGE_IMPORT_TIMEOUT_MS,
				       .line_bytes_max = IMAGE_EVENT_BYTES_MAX,
				       .on_line = on_line,
				       .on_end = on_worker_end};
	struct err err = {0};

	import->phase = PHASE_WORKING;
	buf_done(&import->filling);
	buf_done(&import->writing);
	if (lseek(import->fd, 0, SEEK_SET) < 0 ||
	    worker_start(server, &job, import, &import->worker, &err) < 0) {
		fail(import, "image_worker_missing", err.text);
		end(import);
	}
}

/* ---- receiving ---- */

static void write_some(uv_work_t *work)
{
	struct import *import = work->data;

	import->write_outcome =
		fd_write_all(import->fd, import->writing.data, import->writing.length);
}

static void set_paused(struct import *import, bool paused)
{
	if (import->paused == paused)
		return;
	import->paused = paused;
	if (import->calls != NULL)
		import->calls->on_pause(import->user, paused);
}

static void on_written(uv_work_t *work, int status);

/* Goes on with whatever is next; may end the import. */
static void go_on(struct import *import)
{
	struct buf empty;

	if (import->write_running)
		return;
	if (is_abandoned(import) || import->code[0] != '\0') {
		end(import);
		return;
	}
	if (import->filling.length > 0) {
		empty = import->writing;
		import->writing = import->filling;
		import->filling = empty;
		import->write_running = true;
		import->write.data = import;
		uv_queue_work(import->server->loop, &import->write, write_some, on_written);
		set_paused(import, false);
	} else if (import->data_ended) {
		start_work(import);
	}
}

static void on_written(uv_work_t *work, int status)
{
	struct import *import = work->data;
	char sentence[256];

	import->write_running = false;
	buf_clear(&import->writing);
	if (import->write_outcome < 0) {
		snprintf(sentence, sizeof(sentence), "cannot keep the archive: %s",
			 strerror(-import->write_outcome));
		fail(import, import->write_outcome == -ENOSPC ? "disk_full" : "io_error", sentence);
	}
	go_on(import);
}

void import_data(struct import *import, const void *data, size_t length)
{
	import->received_bytes += length;
	if (import->received_bytes > IMAGE_UPLOAD_BYTES_MAX)
		fail(import, "body_too_large", "the archive is larger than 64 GiB");
	if (import->code[0] != '\0') {
		go_on(import);
		return;
	}
	if (buf_append(&import->filling, data, length) < 0)
		fail(import, "internal", "the archive came faster than it was held back");
	if (import->filling.length > IMAGE_UPLOAD_AHEAD_BYTES)
		set_paused(import, true);
	go_on(import);
}

void import_data_end(struct import *import)
{
	import->data_ended = true;
	go_on(import);
}

void import_free(struct import *import)
{
	import->calls = NULL;
	if (import->phase == PHASE_RECEIVING)
		go_on(import);
	else if (import->worker != NULL)
		worker_kill(import->worker);
}

/* ---- beginning ---- */

static int check_room(struct server *server, uint64_t expected_bytes, struct err *err)
{
	uint64_t free_bytes = 0;

	if (server->import_count >= IMAGE_IMPORTS_MAX)
		return err_set(err, EBUSY, "%d images are being imported already: try again later",
			       IMAGE_IMPORTS_MAX);
	if (expected_bytes > 0 && file_free_bytes(server->tmp_dir, &free_bytes) >= 0 &&
	    free_bytes < expected_bytes)
		return err_set(err, ENOSPC,
			       "the archive has %llu bytes and the state directory's disk has "
			       "%llu bytes left",
			       (unsigned long long)expected_bytes, (unsigned long long)free_bytes);
	return 0;
}

int import_new(struct server *server, const struct import_order *order, struct import **ret_import,
	       struct err *err)
{
	static unsigned long counter;
	struct import *import;
	_cleanup_free_ char *path = mem_printf("%s/archive-%lu", server->tmp_dir, ++counter);
	_cleanup_fd_ int fd = -1;
	int r = check_room(server, order->expected_bytes, err);

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set_errno(err, errno, "cannot make '%s'", path);
	import = mem_new(struct import);
	import->server = server;
	import->calls = order->calls;
	import->user = order->user;
	import->fd = take_fd(fd);
	import->archive_path = take_ptr(path);
	import->output_path = mem_printf("%s/image-%lu.ext4", server->tmp_dir, counter);
	import->name = mem_strdup_or_null(order->name);
	buf_init(&import->filling, IMAGE_UPLOAD_AHEAD_BYTES + 4 * HTTP_READ_BYTES);
	buf_init(&import->writing, IMAGE_UPLOAD_AHEAD_BYTES + 4 * HTTP_READ_BYTES);
	server->import_count++;
	*ret_import = import;
	return 0;
}
