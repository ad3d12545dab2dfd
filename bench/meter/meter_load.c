/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter load [-c CONNECTIONS] [-s SECONDS] SOCKET PATH
 *
 * GETs the path over many kept-alive connections, one request at a time on each, and prints `answers N`, `per_second N`
 * and `wrong N` (answers whose status is not 200). One thread: on a machine with two cores the server has the other one.
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

struct load {
	struct pollfd *pollers;
	size_t count;
	char request[512];
	size_t request_bytes;
	size_t answer_bytes; /* of one whole answer: the same resource is asked for each time */
	size_t *missing;     /* bytes of the running answer, by connection */
	unsigned long answered, wrong;
};

static int load_ask(struct load *load, size_t index)
{
	load->missing[index] = load->answer_bytes;
	return fd_write_all(load->pollers[index].fd, load->request, load->request_bytes);
}

/* Learns how long an answer is by asking once. */
static int load_learn(struct load *load, const char *socket_path)
{
	char data[65536];
	size_t length = 0;
	_cleanup_fd_ int fd = -1;
	char *end = NULL, *field;
	int result = http_connect(socket_path, &fd);

	if (result == 0)
		result = fd_write_all(fd, load->request, load->request_bytes);
	if (result < 0)
		return result;
	while (!end && length < sizeof(data) - 1) {
		ssize_t got = read(fd, data + length, sizeof(data) - 1 - length);

		if (got <= 0)
			return -EPROTO;
		length += (size_t)got;
		data[length] = '\0';
		end = strstr(data, "\r\n\r\n");
	}
	field = strcasestr(data, "content-length:");
	if (!end || !field || strncmp(data, "HTTP/1.1 200", 12) != 0)
		return -EPROTO;
	load->answer_bytes = (size_t)(end + 4 - data) + strtoul(field + 15, NULL, 10);
	return 0;
}

static int load_receive(struct load *load, size_t index)
{
	char data[65536];
	ssize_t got =
		recv(load->pollers[index].fd, data,
		     load->missing[index] < sizeof(data) ? load->missing[index] : sizeof(data),
		     MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got <= 0)
		return -EPROTO;
	if (load->missing[index] == load->answer_bytes && strncmp(data, "HTTP/1.1 200", 12) != 0)
		load->wrong++;
	load->missing[index] -= (size_t)got;
	if (load->missing[index] > 0)
		return 0;
	load->answered++;
	return load_ask(load, index);
}

static int load_drive(struct load *load, double seconds)
{
	double started_ms = meter_now_ms(), taken_ms = 0;

	while (taken_ms < seconds * 1e3) {
		int ready = poll(load->pollers, load->count, METER_TIMEOUT_MS);

		if (ready <= 0)
			return -ETIMEDOUT;
		for (size_t i = 0; i < load->count; i++) {
			int result = load->pollers[i].revents ? load_receive(load, i) : 0;

			if (result < 0)
				return result;
		}
		taken_ms = meter_now_ms() - started_ms;
	}
	printf("answers %lu\nper_second %.0f\nwrong %lu\n", load->answered,
	       (double)load->answered / taken_ms * 1e3, load->wrong);
	return load->wrong > 0 ? -EPROTO : 0;
}

static int load_run(struct load *load, const char *socket_path, const char *path, double seconds)
{
	int result, length;

	length = snprintf(load->request, sizeof(load->request),
			  "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	if (length < 0 || (size_t)length >= sizeof(load->request))
		return -ENAMETOOLONG;
	load->request_bytes = (size_t)length;
	result = load_learn(load, socket_path);
	for (size_t i = 0; i < load->count && result == 0; i++) {
		load->pollers[i].events = POLLIN;
		result = http_connect(socket_path, &load->pollers[i].fd);
		if (result == 0)
			result = load_ask(load, i);
	}
	return result < 0 ? result : load_drive(load, seconds);
}

int meter_load(char **argv)
{
	long long connections = 32, seconds = 5;
	const struct opt opts[] = {
		{'c', "connections", OPT_TYPE_INT, &connections, "N", "", 1, METER_CONNECTIONS_MAX},
		{'s', "seconds", OPT_TYPE_INT, &seconds, "N", "", 1, 600},
		OPT_END,
	};
	const struct opt_parser parser = {"meter load [OPTION]... SOCKET PATH", "", opts, false};
	struct load load = {0};
	enum opt_outcome outcome;
	struct err err = {0};
	char **operands;
	int result;

	if (opt_parse(&parser, argv, &operands, NULL, &outcome, &err) < 0 ||
	    (outcome == OPT_OUTCOME_RUN && strv_length(operands) != 2)) {
		fprintf(stderr, "meter load: %s\n", err.errnum ? err.text : parser.usage);
		return 1;
	}
	if (outcome == OPT_OUTCOME_DONE)
		return 0;
	load.count = (size_t)connections;
	load.pollers = mem_zalloc(load.count * sizeof(*load.pollers));
	load.missing = mem_zalloc(load.count * sizeof(*load.missing));
	result = load_run(&load, operands[0], operands[1], (double)seconds);
	if (result < 0)
		fprintf(stderr, "meter load: %s: %s\n", operands[1], strerror(-result));
	free(load.pollers);
	free(load.missing);
	return result < 0;
}
