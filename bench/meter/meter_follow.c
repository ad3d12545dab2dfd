/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter follow [-c COUNT] SOCKET PATH
 *
 * Opens COUNT connections that each GET a stream without end (logs?follow=true), prints `following N` once every head
 * has come, then reads what comes until its standard input ends.
 */
#include "meter.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/strv.h"
#include "http.h"

static int follower_open(const char *socket_path, const char *path, int *ret_fd)
{
	const struct http_request request = {.method = "GET", .path = path};
	_cleanup_buf_ struct buf body;
	long long length;
	int status;

	buf_init(&body, HTTP_ANSWER_BYTES_MAX);
	status = http_connect(socket_path, ret_fd);
	if (status == 0)
		status = http_send(*ret_fd, &request);
	if (status == 0)
		status = http_read_head(*ret_fd, &body, &length);
	if (status < 0)
		return status;
	return status == 200 ? 0 : -EPROTO;
}

/* The first poller is standard input. */
static int followers_drain(struct pollfd *pollers, size_t count)
{
	char data[65536];

	for (;;) {
		if (poll(pollers, count, -1) < 0)
			return -errno;
		if (pollers[0].revents && read(STDIN_FILENO, data, sizeof(data)) <= 0)
			return 0;
		for (size_t i = 1; i < count; i++)
			if (pollers[i].revents && recv(pollers[i].fd, data, sizeof(data), 0) <= 0)
				pollers[i].fd = fd_close(pollers[i].fd);
	}
}

int meter_follow(char **argv)
{
	long long count = 1000;
	const struct opt opts[] = {
		{'c', "count", OPT_TYPE_INT, &count, "N", "", 1, METER_CONNECTIONS_MAX},
		OPT_END,
	};
	const struct opt_parser parser = {"meter follow [OPTION]... SOCKET PATH", "", opts, false};
	enum opt_outcome outcome;
	struct pollfd *pollers;
	struct err err = {0};
	char **operands;
	int result = 0;

	if (opt_parse(&parser, argv, &operands, NULL, &outcome, &err) < 0 ||
	    (outcome == OPT_OUTCOME_RUN && strv_length(operands) != 2)) {
		fprintf(stderr, "meter follow: %s\n", err.errnum ? err.text : parser.usage);
		return 1;
	}
	if (outcome == OPT_OUTCOME_DONE)
		return 0;
	pollers = mem_zalloc(((size_t)count + 1) * sizeof(*pollers));
	for (size_t i = 0; i <= (size_t)count && result == 0; i++) {
		pollers[i].events = POLLIN;
		if (i > 0)
			result = follower_open(operands[0], operands[1], &pollers[i].fd);
	}
	if (result == 0) {
		printf("following %lld\n", count);
		fflush(stdout);
		result = followers_drain(pollers, (size_t)count + 1);
	}
	if (result < 0)
		fprintf(stderr, "meter follow: %s: %s\n", operands[1], strerror(-result));
	free(pollers);
	return result < 0;
}
