/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/fd.h"
#include "meter.h"

#define HEAD_BYTES_MAX 16384

int http_connect(const char *socket_path, int *ret_fd)
{
	const struct timeval timeout = {.tv_sec = METER_TIMEOUT_MS / 1000};
	int fd, result = fd_unix_connect(socket_path, &fd);

	if (result < 0)
		return result;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0) {
		result = -errno;
		fd_close(fd);
		return result;
	}
	*ret_fd = fd;
	return 0;
}

int http_send(int fd, const struct http_request *request)
{
	char head[1024];
	int length, result;

	length = snprintf(head, sizeof(head),
			  "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n"
			  "Content-Length: %zu\r\n\r\n",
			  request->method, request->path,
			  request->type ? request->type : "application/json", request->body_bytes);
	if (length < 0 || (size_t)length >= sizeof(head))
		return -ENAMETOOLONG;
	result = fd_write_all(fd, head, (size_t)length);
	if (result < 0 || request->body_bytes == 0)
		return result;
	return fd_write_all(fd, request->body, request->body_bytes);
}

static long long length_find(const char *head)
{
	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, "content-length:", 15) == 0)
			return strtoll(line + 15, NULL, 10);
	}
	return -1;
}

int http_read_head(int fd, struct buf *ret_body, long long *ret_length)
{
	char head[HEAD_BYTES_MAX + 1], *end;
	size_t length = 0;
	int status;

	do {
		ssize_t got = read(fd, head + length, HEAD_BYTES_MAX - length);

		if (got <= 0)
			return got == 0 ? -EPROTO : -errno;
		length += (size_t)got;
		head[length] = '\0';
		end = strstr(head, "\r\n\r\n");
	} while (!end && length < HEAD_BYTES_MAX);
	if (!end || sscanf(head, "HTTP/1.1 %d ", &status) != 1)
		return -EPROTO;
	end[2] = '\0';
	*ret_length = length_find(head);
	if (buf_append(ret_body, end + 4, length - (size_t)(end + 4 - head)) < 0)
		return -EFBIG;
	return status;
}

int http_read_answer(int fd, struct buf *ret_body)
{
	long long length = -1;
	int status = http_read_head(fd, ret_body, &length);

	if (status < 0)
		return status;
	if (status == 204)
		return status;
	if (length < 0)
		return -EPROTO;
	while (ret_body->length < (size_t)length) {
		char *tail;
		ssize_t got;
		size_t wanted = MIN((size_t)length - ret_body->length, (size_t)65536);

		if (buf_reserve(ret_body, wanted, &tail) < 0)
			return -EFBIG;
		got = read(fd, tail, wanted);
		if (got <= 0)
			return got == 0 ? -EPROTO : -errno;
		buf_commit(ret_body, (size_t)got);
	}
	return status;
}
