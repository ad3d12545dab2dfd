/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter session [-n COUNT] [-p PARALLEL] [-w] SOCKET PATH JSON
 *
 * Runs a command by WebSocket exec, COUNT times over, PARALLEL of them at once: only when each has said something is the
 * standard input of all ended. Prints `session_ms BEST MIDDLE`: from before connecting to the first byte of the last one's
 * standard output, with -w to the last exit. JSON is the first message. A command that says nothing, or does not exit
 * with 0, is an error.
 */
#include "meter.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/strv.h"
#include "http.h"
#include "wire/exec_channel.h"

#define MESSAGE_BYTES_MAX (1u << 17)
#define READ_BYTES        (1u << 19)
#define FRAME_TEXT        0x81
#define FRAME_BINARY      0x82
#define FRAME_CLOSE       0x88
#define FRAME_PING        0x89

struct session {
	int fd;
	struct buf input; /* received, not yet taken */
	double first_ms;  /* when its first output came */
	bool over;
};

static int handshake(struct session *session, const char *path)
{
	long long length;
	char head[1024];
	int r = snprintf(head, sizeof(head),
			 "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
			 "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			 "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
			 path);

	if (r < 0 || (size_t)r >= sizeof(head))
		return -ENAMETOOLONG;
	r = fd_write_all(session->fd, head, (size_t)r);
	if (r < 0)
		return r;
	r = http_read_head(session->fd, &session->input, &length);
	if (r < 0)
		return r;
	return r == 101 ? 0 : -EPROTO;
}

/* One masked frame; the mask is 0, which leaves the bytes as they are. */
static int message_send(struct session *session, uint8_t opcode, const char *data, size_t length)
{
	size_t head_bytes = 2;
	uint8_t head[8] = {opcode};

	if (length > UINT16_MAX)
		return -EMSGSIZE;
	if (length < 126) {
		head[1] = (uint8_t)(0x80 | length);
	} else {
		const uint16_t big = htobe16((uint16_t)length);

		head[1] = 0x80 | 126;
		memcpy(head + 2, &big, sizeof(big));
		head_bytes = 4;
	}
	if (fd_write_all(session->fd, (const char *)head, head_bytes + 4) < 0)
		return -EPIPE;
	return fd_write_all(session->fd, data, length);
}

/* Bytes of the frame's head and of its payload; 0 when the head is not whole yet. */
static size_t frame_measure(const uint8_t *data, size_t got, size_t *ret_length)
{
	uint16_t length16;
	uint64_t length64;

	if (got < 2)
		return 0;
	*ret_length = data[1] & 0x7f;
	if (*ret_length == 126 && got >= 4) {
		memcpy(&length16, data + 2, sizeof(length16));
		*ret_length = be16toh(length16);
		return 4;
	}
	if (*ret_length == 127 && got >= 10) {
		memcpy(&length64, data + 2, sizeof(length64));
		*ret_length = be64toh(length64);
		return 10;
	}
	return *ret_length < 126 ? 2 : 0;
}

static int exit_take(struct session *session, const char *text, size_t length)
{
	static const char good[] = "\"exit_code\":0";
	_cleanup_free_ char *copy = mem_printf("%.*s", (int)length, text);

	session->over = true;
	if (session->first_ms > 0 && strstr(copy, good) != NULL)
		return 0;
	fprintf(stderr, "meter session: ended with %s\n", copy);
	return -EPROTO;
}

static int frame_take(struct session *session, uint8_t opcode, const char *data, size_t length)
{
	if (opcode == FRAME_PING)
		return 0;
	if (opcode != FRAME_BINARY || length == 0) {
		fprintf(stderr, "meter session: frame %#x: %.*s\n", opcode, (int)length, data);
		return -EPROTO;
	}
	if (data[0] == EXEC_CHANNEL_EXIT)
		return exit_take(session, data + 1, length - 1);
	if (data[0] == EXEC_CHANNEL_STDOUT && length > 1 && session->first_ms == 0)
		session->first_ms = meter_now_ms();
	return 0;
}

/* Takes the whole frames that have come. */
static int frames_take(struct session *session)
{
	size_t at = 0, head, length;
	int r = 0;

	while (r == 0 && !session->over) {
		const char *data = session->input.data + at;
		size_t got = session->input.length - at;

		head = frame_measure((const uint8_t *)data, got, &length);
		if (head > 0 && length > MESSAGE_BYTES_MAX)
			return -EMSGSIZE;
		if (head == 0 || got < head + length)
			break;
		r = frame_take(session, (uint8_t)data[0], data + head, length);
		at += head + length;
	}
	buf_consume(&session->input, at);
	return r;
}

static int session_open(struct session *session, char **operands)
{
	int r = http_connect(operands[0], &session->fd);

	buf_init(&session->input, 2 * READ_BYTES);
	if (r == 0)
		r = handshake(session, operands[1]);
	return r < 0 ? r : message_send(session, FRAME_TEXT, operands[2], strlen(operands[2]));
}

/* Reads on until there was output, or until the exit. */
static int session_read(struct session *session, bool whole)
{
	char *tail;
	ssize_t got;
	int r;

	while ((r = frames_take(session)) == 0 && !session->over &&
	       (whole || session->first_ms == 0)) {
		/* More than a window: nothing is left of a frame to be moved to the front. */
		if (buf_reserve(&session->input, READ_BYTES, &tail) < 0)
			return -EFBIG;
		got = read(session->fd, tail, READ_BYTES);
		if (got <= 0)
			return got == 0 ? -EPIPE : -errno;
		buf_commit(&session->input, (size_t)got);
	}
	return r;
}

static int sessions_run(struct session *sessions, size_t count, char **operands)
{
	static const char end_of_input[] = {(char)EXEC_CHANNEL_CLOSE, 0};
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = session_open(&sessions[i], operands);
	for (size_t i = 0; i < count && r == 0; i++)
		r = session_read(&sessions[i], false);
	for (size_t i = 0; i < count && r == 0; i++)
		if (!sessions[i].over)
			r = message_send(&sessions[i], FRAME_BINARY, end_of_input,
					 sizeof(end_of_input));
	for (size_t i = 0; i < count && r == 0; i++)
		r = session_read(&sessions[i], true);
	for (size_t i = 0; i < count && r == 0; i++)
		r = message_send(&sessions[i], FRAME_CLOSE, NULL, 0);
	return r;
}

static int round_run(struct session *sessions, size_t count, char **operands, bool whole,
		     double *ret_ms)
{
	double started_ms = meter_now_ms(), last_ms = 0;
	int r;

	memset(sessions, 0, count * sizeof(*sessions));
	for (size_t i = 0; i < count; i++)
		sessions[i].fd = -1;
	r = sessions_run(sessions, count, operands);
	*ret_ms = meter_now_ms() - started_ms;
	for (size_t i = 0; i < count; i++) {
		last_ms = MAX(last_ms, sessions[i].first_ms);
		fd_close(sessions[i].fd);
		buf_done(&sessions[i].input);
	}
	if (!whole)
		*ret_ms = last_ms - started_ms;
	return r;
}

int meter_session(char **argv)
{
	long long count = 1, parallel = 1;
	bool whole = false;
	const struct opt opts[] = {
		{'n', "count", OPT_TYPE_INT, &count, "N", "rounds", 1, METER_ROUNDS_MAX},
		{'p', "parallel", OPT_TYPE_INT, &parallel, "N", "sessions at once", 1, 1000},
		{'w', "whole", OPT_TYPE_FLAG, &whole, NULL, "to the exit, not to the first byte"},
		OPT_END,
	};
	const struct opt_parser parser = {"meter session [OPTION]... SOCKET PATH JSON", "", opts,
					  false};
	_cleanup_free_ struct session *sessions = NULL;
	double taken_ms[METER_ROUNDS_MAX];
	enum opt_outcome outcome;
	struct err err = {0};
	char **operands;
	int r = 0;

	if (opt_parse(&parser, argv, &operands, NULL, &outcome, &err) < 0 ||
	    (outcome == OPT_OUTCOME_RUN && strv_length(operands) != 3)) {
		fprintf(stderr, "meter session: %s\n", err.errnum ? err.text : parser.usage);
		return 1;
	}
	if (outcome == OPT_OUTCOME_DONE)
		return 0;
	sessions = mem_zalloc((size_t)parallel * sizeof(*sessions));
	for (long long i = 0; i < count && r == 0; i++)
		r = round_run(sessions, (size_t)parallel, operands, whole, &taken_ms[i]);
	if (r < 0) {
		fprintf(stderr, "meter session: %s: %s\n", operands[1], strerror(-r));
		return 1;
	}
	meter_print("session_ms", taken_ms, (size_t)count);
	return 0;
}
