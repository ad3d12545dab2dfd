/* SPDX-License-Identifier: Apache-2.0 */
/* images, import, rmi. */
#include "images.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "cli.h"
#include "lines.h"
#include "table.h"

/* Writing a large image takes the server a while in which it says little. */
#define UPLOAD_IDLE_S         600
#define FIRST_BYTE_TIMEOUT_MS 600000

/* ---- upload ---- */

/* An upload: the archive on its way there, and the lines that come back meanwhile. */
struct transfer {
	const struct images_upload *upload;
	struct err err;     /* of finish(), or what the last line says */
	struct lines lines; /* that come back */
	json_t *image;      /* once the last line has come */
	uint64_t sent;
	int64_t size; /* -1: not known */
	json_int_t layers;
};

static void show_sent(const struct transfer *transfer)
{
	struct progress *progress = transfer->upload->progress;
	_cleanup_free_ char *sent = table_size(transfer->sent);
	_cleanup_free_ char *size = NULL;

	if (transfer->size <= 0) {
		progress_detail(progress, "%s", sent);
		return;
	}
	size = table_size((uint64_t)transfer->size);
	progress_detail(progress, "%s of %s, %d%%", sent, size,
			(int)(100 * MIN((double)transfer->sent / (double)transfer->size, 1.0)));
}

static ssize_t read_source(void *user, char *data, size_t length)
{
	struct transfer *transfer = user;
	ssize_t n;
	int r;

	do {
		n = read(transfer->upload->fd, data, length);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	transfer->sent += (uint64_t)n;
	show_sent(transfer);
	if (n == 0 && transfer->upload->finish != NULL) {
		r = transfer->upload->finish(transfer->upload->user, &transfer->err);
		if (r < 0)
			return r;
	}
	return n;
}

static void note_layer(struct transfer *transfer, json_t *event)
{
	long long index = json_integer_value(json_object_get(event, "index"));
	long long bytes = json_integer_value(json_object_get(event, "bytes"));
	_cleanup_free_ char *size = table_size((uint64_t)MAX(bytes, 0LL));

	transfer->layers = json_integer_value(json_object_get(event, "count"));
	progress_detail(transfer->upload->progress, "layer %lld of %lld, %s", index,
			(long long)transfer->layers, size);
}

static int take_event(void *user, json_t *event, struct err *err)
{
	struct transfer *transfer = user;
	const char *name = cli_text(event, "event");

	if (strcmp(name, "layer") == 0) {
		note_layer(transfer, event);
	} else if (strcmp(name, "error") == 0) {
		err_set(&transfer->err, EIO, "%s", cli_text(event, "error"));
	} else if (strcmp(name, "done") == 0 && json_object_get(event, "image") != NULL) {
		json_decref(transfer->image);
		transfer->image = json_incref(json_object_get(event, "image"));
	}
	return 0;
}

static int take_answer(void *user, const char *data, size_t length)
{
	struct transfer *transfer = user;

	return lines_sink(&transfer->lines, data, length);
}

/*
 * A builder may think for a while before the first byte. The server, which drops clients that send
 * none, is not kept waiting meanwhile.
 */
static int await_archive(const struct transfer *transfer, struct err *err)
{
	struct pollfd poll_fd = {.fd = transfer->upload->fd, .events = POLLIN};
	int64_t deadline_ms = clock_monotonic_ms() + FIRST_BYTE_TIMEOUT_MS;
	int n;

	do {
		n = poll(&poll_fd, 1, MIN(clock_left_ms(deadline_ms), PROGRESS_TICK_MS));
		progress_tick(transfer->upload->progress);
	} while ((n == 0 && clock_left_ms(deadline_ms) > 0) || (n < 0 && errno == EINTR));
	if (n < 0)
		return err_set_errno(err, errno, "waiting for the archive");
	return n > 0 ? 0 : err_set(err, ETIME, "no archive came within 10 minutes");
}

static int send(struct client *client, struct transfer *transfer, struct err *err)
{
	const struct images_upload *upload = transfer->upload;
	_cleanup_free_ char *path = upload->name != NULL
					    ? client_path("/v1/images?name=%s", upload->name)
					    : mem_strdup("/v1/images");
	struct client_request request = {
		.method = "POST",
		.path = path,
		.accept = "application/x-ndjson",
		.source = read_source,
		.source_bytes = -1,
		.source_fd = upload->fd,
		.sink = take_answer,
		.user = transfer,
		.timeout_ms = -1,
		.idle_s = UPLOAD_IDLE_S,
	};
	struct stat st;
	int r;

	r = await_archive(transfer, err);
	if (r < 0)
		return r;
	if (fstat(upload->fd, &st) == 0 && S_ISREG(st.st_mode))
		request.source_bytes = st.st_size - lseek(upload->fd, 0, SEEK_CUR);
	transfer->size = request.source_bytes;
	return progress_do(upload->progress, client, &request, NULL, err);
}

static const char *first_name(json_t *image)
{
	const char *name = json_string_value(json_array_get(json_object_get(image, "names"), 0));

	return name != NULL ? name : cli_text(image, "digest");
}

/* An image that the server has already comes without layers. */
static void show_done(const struct transfer *transfer)
{
	const char *asked = transfer->upload->name;
	const char *name = asked != NULL ? asked : first_name(transfer->image);
	long long bytes = json_integer_value(json_object_get(transfer->image, "content_bytes"));
	_cleanup_free_ char *size = table_size((uint64_t)MAX(bytes, 0LL));

	if (transfer->layers == 0)
		progress_done(transfer->upload->progress, "imported %s, which was there", name);
	else
		progress_done(transfer->upload->progress, "imported %s: %s in %lld layer%s", name,
			      size, (long long)transfer->layers, transfer->layers == 1 ? "" : "s");
}

int images_upload(struct client *client, const struct images_upload *upload, json_t **ret_image,
		  struct err *err)
{
	struct transfer transfer = {.upload = upload};
	int r;

	lines_init(&transfer.lines, take_event, &transfer);
	progress_begin(upload->progress, "importing %s", upload->title);
	r = send(client, &transfer, err);
	r = lines_outcome(&transfer.lines, r, err);
	lines_done(&transfer.lines);
	if (r >= 0 && transfer.image == NULL && transfer.err.errnum == 0)
		err_set(&transfer.err, EIO, "%s did not say how the import ended",
			client_name(client));
	if (transfer.err.errnum != 0)
		r = err_set(err, transfer.err.errnum, "%s", transfer.err.text);
	if (r >= 0) {
		show_done(&transfer);
		*ret_image = take_ptr(transfer.image);
	} else {
		progress_fail(upload->progress);
	}
	json_decref(transfer.image);
	return r;
}

/* ---- import ---- */

static int import(const char *path, const char *name, struct err *err)
{
	_cleanup_progress_ struct progress progress;
	_cleanup_client_ struct client *client = NULL;
	_cleanup_json_ json_t *image = NULL;
	_cleanup_fd_ int fd = -1;
	struct images_upload upload = {.name = name, .progress = &progress};
	int r;

	progress_init(&progress);
	upload.title = strcmp(path, "-") == 0 ? "standard input" : path;
	if (strcmp(path, "-") == 0)
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(err, errno, "'%s'", path);
	upload.fd = fd;
	r = cli_connect(&client, err);
	if (r >= 0)
		r = images_upload(client, &upload, &image, err);
	if (r < 0)
		return r;
	printf("%s\n", cli_text(image, "digest"));
	return cli_flush(err);
}

int command_import(char **argv, struct err *err)
{
	const char *name = NULL;
	const struct opt opts[] = {
		{'t', "tag", OPT_TYPE_STRING, &name, "NAME",
		 "name of the image (the archive's own)"},
		{'n', "name", OPT_TYPE_STRING, &name, "NAME", "the same"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl import [OPTION]... ARCHIVE",
		.about = "Imports an OCI or docker archive ('-': standard input); prints its "
			 "digest.",
		.opts = opts,
	};
	const char *archive;
	int r;

	r = cli_parse_one(&parser, argv, "archive", &archive, err);
	return r <= 0 ? r : import(archive, name, err);
}

/* ---- images ---- */

static void add_row(struct table *table, json_t *image)
{
	json_t *names = json_object_get(image, "names");
	int64_t created = cli_time_ns(image, "created_at");
	_cleanup_free_ char *age = created >= 0 ? table_age(clock_realtime_ns() - created) : NULL;
	_cleanup_free_ char *ago = age != NULL ? mem_printf("%s ago", age) : NULL;
	_cleanup_free_ char *digest = mem_printf("%.19s", cli_text(image, "digest"));
	long long bytes = json_integer_value(json_object_get(image, "content_bytes"));
	_cleanup_free_ char *size = table_size((uint64_t)MAX(bytes, 0LL));
	json_t *name;
	size_t i;

	if (json_array_size(names) == 0) {
		const char *cells[] = {NULL, digest, size, ago};

		table_add(table, cells);
	}
	json_array_foreach(names, i, name) {
		const char *cells[] = {json_string_value(name), digest, size, ago};

		table_add(table, cells);
	}
}

static const char *const head[] = {"NAME", "DIGEST", "SIZE", "IMPORTED", NULL};

static const struct cli_listing listing = {.path = "/v1/images",
					   .member = "images",
					   .key = "digest",
					   .head = head,
					   .add_row = add_row};

int command_images(char **argv, struct err *err)
{
	bool json = false, quiet = false;
	const struct opt opts[] = {
		{'q', "quiet", OPT_TYPE_FLAG, &quiet, NULL, "only the digests"},
		{0, "json", OPT_TYPE_FLAG, &json, NULL, "as JSON"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl images [OPTION]...",
		.about = "Lists the images the server has.",
		.opts = opts,
	};
	int r;

	r = cli_parse_alone(&parser, argv, err);
	return r <= 0 ? r : cli_list(&listing, json, quiet, err);
}

/* ---- rmi ---- */

static int remove_one(struct client *client, const char *name, void *user, struct err *err)
{
	_cleanup_free_ char *path = client_path("/v1/images/%s", name);
	struct client_request request = {.method = "DELETE", .path = path};
	int r;

	r = client_do(client, &request, NULL, err);
	if (r < 0)
		return r;
	printf("%s\n", name);
	return cli_flush(err);
}

int command_rmi(char **argv, struct err *err)
{
	static const struct opt opts[] = {CLI_SERVER_OPTS, OPT_END};
	static const struct opt_parser parser = {
		.usage = "krunctl rmi IMAGE...",
		.about = "Deletes images, by name or digest, that no machine uses.",
		.opts = opts,
	};

	return cli_for_each(&parser, argv, remove_one, NULL, err);
}
