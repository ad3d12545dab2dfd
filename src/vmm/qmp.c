/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "wire/limits.h"

/* The greeting and answers have a few hundred bytes, events somewhat more. */
#define LINE_BYTES_MAX (16 * KIB)
#define OUT_BYTES_MAX  (16 * KIB)
/* Of QEMU's own words in a sentence. */
#define WORDS_BYTES_MAX 200

#define CAPABILITIES_ID QMP_PORTS_MAX

static const char broken[] = "QEMU's monitor said something that is no answer";

static void close_monitor(struct qmp *qmp)
{
	loop_remove(qmp->loop, &qmp->watch);
	qmp->fd = fd_close(qmp->fd);
	qmp->wanted = qmp->asked = 0;
	buf_done(&qmp->in);
	buf_done(&qmp->out);
}

static void lose(struct qmp *qmp, const char *sentence)
{
	if (!qmp_is_open(qmp))
		return;
	close_monitor(qmp);
	qmp->calls->lost(qmp->owner, sentence);
}

/* What is not taken now waits. That QEMU is gone is seen when it is read. */
static void write_out(struct qmp *qmp)
{
	ssize_t n;

	while (qmp->out.length > 0) {
		n = write(qmp->fd, qmp->out.data, qmp->out.length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			buf_clear(&qmp->out);
		if (n < 0)
			break;
		buf_consume(&qmp->out, (size_t)n);
	}
	qmp->watch.events = (short)(POLLIN | (qmp->out.length > 0 ? POLLOUT : 0));
}

static void begin_command(struct jsonw *w, struct qmp *qmp, const char *name, int id)
{
	jsonw_init(w, &qmp->out);
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "execute", name);
	jsonw_int(w, "id", id);
}

static void end_command(struct jsonw *w, struct qmp *qmp)
{
	int r;

	jsonw_object_end(w);
	r = jsonw_finish(w);
	if (r >= 0)
		r = buf_append_char(&qmp->out, '\n');
	/* Only behind an empty buffer, and each port once: there is room. */
	assert(r >= 0);
}

static void ask_for_port(struct qmp *qmp, int port)
{
	char chardev[32], name[32];
	struct jsonw w;

	snprintf(chardev, sizeof(chardev), QMP_PORT_CHARDEV, port);
	snprintf(name, sizeof(name), QMP_PORT_NAME, port);
	begin_command(&w, qmp, "device_add", port);
	jsonw_object_begin(&w, "arguments");
	jsonw_string(&w, "driver", QMP_PORT_DRIVER);
	jsonw_string(&w, "chardev", chardev);
	jsonw_string(&w, "name", name);
	jsonw_object_end(&w);
	end_command(&w, qmp);
}

static void ask_for_wanted(struct qmp *qmp)
{
	/* QEMU may answer what it has not read: commands wait for those before them. */
	if (qmp->state != QMP_READY || qmp->out.length > 0)
		return;
	for (int port = 0; port < QMP_PORTS_MAX; port++) {
		if ((qmp->wanted >> port & 1) != 0)
			ask_for_port(qmp, port);
	}
	qmp->asked |= qmp->wanted;
	qmp->wanted = 0;
	write_out(qmp);
}

static void take_greeting(struct qmp *qmp)
{
	struct jsonw w;

	qmp->state = QMP_NEGOTIATING;
	begin_command(&w, qmp, "qmp_capabilities", CAPABILITIES_ID);
	end_command(&w, qmp);
	write_out(qmp);
}

/* QEMU's words for what is wrong, as text of one line. */
static void read_error(const json_t *error, char *ret_text, size_t size)
{
	const char *words = json_string_value(json_object_get(error, "desc"));

	snprintf(ret_text, size, "QEMU cannot add a session port: %.*s", WORDS_BYTES_MAX,
		 words != NULL ? words : "it does not say why");
	for (char *at = ret_text; *at != '\0'; at++) {
		if ((unsigned char)*at < ' ' || *at == '\x7f')
			*at = ' ';
	}
}

static int take_answer(struct qmp *qmp, const json_t *line)
{
	const json_t *id = json_object_get(line, "id"), *error = json_object_get(line, "error");
	long long number = json_is_integer(id) ? json_integer_value(id) : -1;
	char sentence[WORDS_BYTES_MAX + 64];

	if (error == NULL && json_object_get(line, "return") == NULL)
		return -EBADMSG;
	if (qmp->state == QMP_NEGOTIATING && number == CAPABILITIES_ID && error == NULL) {
		qmp->state = QMP_READY;
		ask_for_wanted(qmp);
		return 0;
	}
	if (number < 0 || number >= QMP_PORTS_MAX || (qmp->asked >> number & 1) == 0)
		return -EBADMSG;
	qmp->asked &= ~(UINT32_C(1) << number);
	if (error != NULL)
		read_error(error, sentence, sizeof(sentence));
	qmp->calls->port_added(qmp->owner, (int)number, error != NULL ? sentence : NULL);
	return 0;
}

static int take_line(struct qmp *qmp, const char *text, size_t length)
{
	_cleanup_json_ json_t *line = NULL;
	struct err err;

	if (json_parse(text, length, &line, &err) < 0 || !json_is_object(line))
		return -EBADMSG;
	if (json_object_get(line, "event") != NULL)
		return 0;
	if (qmp->state == QMP_GREETING && json_object_get(line, "QMP") != NULL) {
		take_greeting(qmp);
		return 0;
	}
	return take_answer(qmp, line);
}

static void take_lines(struct qmp *qmp)
{
	const char *end;
	size_t length;

	while (qmp_is_open(qmp) && qmp->in.length > 0 &&
	       (end = memchr(qmp->in.data, '\n', qmp->in.length)) != NULL) {
		length = (size_t)(end - qmp->in.data);
		if (take_line(qmp, qmp->in.data, length) < 0) {
			lose(qmp, broken);
			return;
		}
		buf_consume(&qmp->in, length + 1);
	}
	if (qmp->in.length == LINE_BYTES_MAX)
		lose(qmp, broken);
}

static void read_in(struct qmp *qmp)
{
	char *tail;
	ssize_t n;

	/* There is always room: a full buffer without a line's end has lost the monitor. */
	if (buf_reserve(&qmp->in, LINE_BYTES_MAX - qmp->in.length, &tail) < 0)
		return;
	n = read(qmp->fd, tail, LINE_BYTES_MAX - qmp->in.length);
	if (n > 0) {
		buf_commit(&qmp->in, (size_t)n);
		take_lines(qmp);
	} else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
		lose(qmp, "QEMU's monitor has closed");
	}
	/* It says little, and seldom. */
	if (qmp_is_open(qmp) && qmp->in.length == 0) {
		buf_done(&qmp->in);
		buf_init(&qmp->in, LINE_BYTES_MAX);
	}
}

static void on_ready(struct loop_watch *watch, short events)
{
	struct qmp *qmp = watch->owner;

	if ((events & POLLOUT) != 0) {
		write_out(qmp);
		ask_for_wanted(qmp);
	}
	if ((events & (POLLIN | POLLHUP | POLLERR)) != 0)
		read_in(qmp);
}

void qmp_init(struct qmp *qmp, struct loop *loop, const struct qmp_calls *calls, void *owner)
{
	*qmp = (struct qmp){
		.calls = calls,
		.owner = owner,
		.loop = loop,
		.watch = {.fd = -1, .events = POLLIN, .ready = on_ready, .owner = qmp},
		.fd = -1,
	};
}

void qmp_done(struct qmp *qmp)
{
	if (qmp->loop != NULL && qmp_is_open(qmp))
		close_monitor(qmp);
}

int qmp_open(struct qmp *qmp, int fd)
{
	int r;

	assert(!qmp_is_open(qmp));
	r = fd_set_nonblock(fd, true);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	qmp->fd = fd;
	qmp->state = QMP_SILENT;
	buf_init(&qmp->in, LINE_BYTES_MAX);
	buf_init(&qmp->out, OUT_BYTES_MAX);
	return 0;
}

int qmp_add_port(struct qmp *qmp, int port)
{
	uint32_t bit;

	assert(port >= 0 && port < QMP_PORTS_MAX);
	bit = UINT32_C(1) << port;
	if (!qmp_is_open(qmp))
		return -ENOTCONN;
	if (qmp->state == QMP_SILENT) {
		qmp->state = QMP_GREETING;
		qmp->watch.fd = qmp->fd;
		loop_add(qmp->loop, &qmp->watch);
	}
	if ((qmp->asked & bit) == 0)
		qmp->wanted |= bit;
	ask_for_wanted(qmp);
	return 0;
}
