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
#include "table.h"

/* Writing a large image takes the server a while in which it says little. */
#define UPLOAD_IDLE_S         600
#define FIRST_BYTE_TIMEOUT_MS 600000
/* The last line has the image's configuration in it. */
#define LINE_BYTES_MAX (4 * 1024 * 1024)

/* ---- upload ---- */

/* An upload: the archive on its way there, and the lines that come back meanwhile. */
struct transfer {
	const struct images_upload *upload;
	struct err err;   /* of finish(), or what the last line says */
	struct buf line;  /* not whole yet */
	json_t *image;    /* once the last line has come */
	bool is_terminal; /* somebody watches */
};

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
	if (n == 0 && transfer->upload->finish != NULL) {
		r = transfer->upload->finish(transfer->upload->user, &transfer->err);
		if (r < 0)
			return r;
	}
	return n;
}

static void show_layer(const struct transfer *transfer, json_t *event)
{
	json_int_t index = json_integer_value(json_object_get(event, "index"));
	json_int_t count = json_integer_value(json_object_get(event, "count"));

	if (transfer->is_terminal)
		fprintf(stderr, "\r%s: layer %lld of %lld%s", cli_program, (long long)index,
			(long long)count, index >= count ? "\n" : "");
}

static int take_line(struct transfer *transfer, const char *line, size_t length)
{
	_cleanup_json_ json_t *event = NULL;
	const char *name;

	if (json_parse(line, length, &event, &transfer->err) < 0)
		return -EBADMSG;
	name = cli_text(event, "event");
	if (strcmp(name, "layer") == 0) {
		show_layer(transfer, event);
	} else if (strcmp(name, "error") == 0) {
		err_set(&transfer->err, EIO, "%s", cli_text(event, "error"));
	} else if (strcmp(name, "done") == 0 && json_object_get(event, "image") != NULL) {
		json_decref(transfer->image);
		transfer->image = json_incref(json_object_get(event, "image"));
	}
	return 0;
}

static int take_lines(void *user, const char *data, size_t length)
{
	struct transfer *transfer = user;
	int r;

	while (length > 0) {
		const char *newline = memchr(data, '\n', length);
		size_t part = newline != NULL ? (size_t)(newline - data) : length;

		r = buf_append(&transfer->line, data, part);
		if (r < 0)
			return r;
		if (newline == NULL)
			return 0;
		if (transfer->line.length > 0) {
			r = take_line(transfer, transfer->line.data, transfer->line.length);
			if (r < 0)
				return r;
		}
		buf_clear(&transfer->line);
		data += part + 1;
		length -= part + 1;
	}
	return 0;
}

/*
 * A builder may think for a while before the first byte. The server, which drops clients that send
 * none, is not kept waiting meanwhile.
 */
static int await_archive(int fd, struct err *err)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int n;

	do {
		n = poll(&poll_fd, 1, FIRST_BYTE_TIMEOUT_MS);
	} while (n < 0 && errno == EINTR);
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
		.sink = take_lines,
		.user = transfer,
		.timeout_ms = -1,
		.idle_s = UPLOAD_IDLE_S,
	};
	struct stat st;
	int r;

	r = await_archive(upload->fd, err);
	if (r < 0)
		return r;
	if (fstat(upload->fd, &st) == 0 && S_ISREG(st.st_mode))
		request.source_bytes = st.st_size - lseek(upload->fd, 0, SEEK_CUR);
	return client_do(client, &request, NULL, err);
}

int images_upload(struct client *client, const struct images_upload *upload, json_t **ret_image,
		  struct err *err)
{
	struct transfer transfer = {.upload = upload, .is_terminal = isatty(STDERR_FILENO)};
	int r;

	buf_init(&transfer.line, LINE_BYTES_MAX);
	r = send(client, &transfer, err);
	buf_done(&transfer.line);
	if (r >= 0 && transfer.image == NULL && transfer.err.errnum == 0)
		err_set(&transfer.err, EIO, "%s did not say how the import ended",
			client_name(client));
	if (transfer.err.errnum != 0)
		r = err_set(err, transfer.err.errnum, "%s", transfer.err.text);
	if (r >= 0)
		*ret_image = take_ptr(transfer.image);
	json_decref(transfer.image);
	return r;
}

/* ---- import ---- */

static int import(const char *path, const char *name, struct err *err)
{
	_cleanup_client_ struct client *client = NULL;
	_cleanup_json_ json_t *image = NULL;
	_cleanup_fd_ int fd = -1;
	int r;

	if (strcmp(path, "-") == 0)
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(err, errno, "'%s'", path);
	r = cli_connect(&client, err);
	if (r >= 0)
		r = images_upload(client, &(struct images_upload){.fd = fd, .name = name}, &image,
				  err);
	if (r < 0)
		return r;
	printf("%s\n", cli_text(image, "digest"));
	return cli_flush(err);
}

int command_import(char **argv, struct err *err)
{
	const char *name = NULL;
	const struct opt opts[] = {
		{'n', "name", OPT_TYPE_STRING, &name, "NAME",
		 "name of the image (the archive's own)"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl import [OPTION]... ARCHIVE",
		.about = "Imports an OCI or docker archive ('-': standard input); prints its "
			 "digest.",
		.opts = opts,
	};
	struct cli_arguments arguments;
	int r;

	r = cli_parse(&parser, argv, 1, &arguments, err);
	if (r <= 0)
		return r;
	if (arguments.count > 1)
		return err_set(err, EINVAL, "import takes one archive at a time");
	return import(arguments.operands[0], name, err);
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

static int list(bool json, bool quiet, struct err *err)
{
	static const char *const head[] = {"NAME", "DIGEST", "SIZE", "IMPORTED", NULL};
	struct client_request request = {.method = "GET", .path = "/v1/images"};
	_cleanup_client_ struct client *client = NULL;
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_table_ struct table table = {0};
	json_t *images, *image;
	size_t i;
	int r;

	table_init(&table, head);
	r = cli_connect(&client, err);
	if (r >= 0)
		r = client_json(client, &request, &answer, err);
	if (r < 0)
		return r;
	images = json_object_get(answer, "images");
	if (json)
		return cli_print_json(images, err);
	json_array_foreach(images, i, image) {
		if (quiet)
			printf("%s\n", cli_text(image, "digest"));
		else
			add_row(&table, image);
	}
	if (!quiet)
		table_print(&table, stdout);
	return cli_flush(err);
}

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
	return r <= 0 ? r : list(json, quiet, err);
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
