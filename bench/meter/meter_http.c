/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter http [-n COUNT] [-b JSON | -f FILE] [-t TYPE] [-o FILE] SOCKET METHOD PATH
 *
 * Sends the request COUNT times over one connection, after none that does not count: callers that want a warm figure ask
 * for one request more first. Prints `status S` of the last answer and `http_ms BEST MIDDLE`; the last body goes to -o.
 */
#include "meter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/opt.h"
#include "base/strv.h"
#include "http.h"

static int body_map(const char *path, struct http_request *request)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *data;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	request->body = data;
	request->body_bytes = (size_t)status.st_size;
	return 0;
}

static int body_save(const char *path, const struct buf *body)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd_write_all(fd, body->data, body->length);
}

/* Returns the last status or a negative errno. */
static int requests_time(int fd, const struct http_request *request, size_t count, struct buf *body)
{
	double taken_ms[METER_ROUNDS_MAX];
	int status = -EINVAL;

	for (size_t i = 0; i < count; i++) {
		double started_ms = meter_now_ms();

		buf_clear(body);
		status = http_send(fd, request);
		if (status == 0)
			status = http_read_answer(fd, body);
		if (status < 0)
			return status;
		taken_ms[i] = meter_now_ms() - started_ms;
	}
	printf("status %d\n", status);
	meter_print("http_ms", taken_ms, count);
	return status;
}

static int request_run(const char *socket_path, const struct http_request *request, size_t count,
		       const char *output)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_buf_ struct buf body;
	int status;

	buf_init(&body, HTTP_ANSWER_BYTES_MAX);
	status = http_connect(socket_path, &fd);
	if (status == 0)
		status = requests_time(fd, request, count, &body);
	if (status < 0) {
		fprintf(stderr, "meter http: %s %s: %s\n", request->method, request->path,
			strerror(-status));
		return 1;
	}
	if (output && body_save(output, &body) < 0)
		return 1;
	if (status >= 400)
		fprintf(stderr, "meter http: %s %s: %d %.*s\n", request->method, request->path,
			status, (int)body.length, body.data);
	return status >= 400;
}

int meter_http(char **argv)
{
	const char *body = NULL, *file = NULL, *output = NULL;
	struct http_request request = {0};
	long long count = 1;
	const struct opt opts[] = {
		{'n', "count", OPT_TYPE_INT, &count, "N", "requests", 1, METER_ROUNDS_MAX},
		{'b', "body", OPT_TYPE_STRING, &body, "JSON", "body of the request"},
		{'f', "file", OPT_TYPE_STRING, &file, "FILE", "file with the body"},
		{'t', "type", OPT_TYPE_STRING, &request.type, "TYPE", "content type"},
		{'o', "output", OPT_TYPE_STRING, &output, "FILE", "where the last body goes"},
		OPT_END,
	};
	const struct opt_parser parser = {"meter http [OPTION]... SOCKET METHOD PATH", "", opts,
					  false};
	enum opt_outcome outcome;
	struct err err = {0};
	char **operands;

	if (opt_parse(&parser, argv, &operands, NULL, &outcome, &err) < 0 ||
	    (outcome == OPT_OUTCOME_RUN && strv_length(operands) != 3)) {
		fprintf(stderr, "meter http: %s\n", err.errnum ? err.text : parser.usage);
		return 1;
	}
	if (outcome == OPT_OUTCOME_DONE)
		return 0;
	request.method = operands[1];
	request.path = operands[2];
	request.body = body;
	request.body_bytes = body ? strlen(body) : 0;
	if (file && body_map(file, &request) < 0) {
		fprintf(stderr, "meter http: %s: %s\n", file, strerror(errno));
		return 1;
	}
	return request_run(operands[0], &request, (size_t)count, output);
}
