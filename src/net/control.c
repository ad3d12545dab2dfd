/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"

#define SAY_TIMEOUT_MS 5000

static int say(struct control *control, enum wire_type type, const struct wire_message *message,
	       const void *from)
{
	uint8_t frame[CONTROL_BUFFER_BYTES];
	long length = wire_pack(type, 0, message, from, frame, sizeof(frame));

	if (length < 0)
		return (int)length;
	return fd_write_all_until(control->fd, frame, (size_t)length,
				  clock_monotonic_ms() + SAY_TIMEOUT_MS);
}

int control_say_hello(struct control *control)
{
	struct wire_hello hello = {.version = WIRE_VERSION, .role = WIRE_ROLE_NET};

	return say(control, WIRE_HELLO, &wire_hello_message, &hello);
}

int control_say_ready(struct control *control, const struct published_ports *ports)
{
	struct wire_net_ready ready = {.host_port_count = (uint32_t)ports->count};

	for (size_t i = 0; i < ports->count; i++)
		ready.host_ports[i] = ports->items[i].host_port;
	return say(control, WIRE_NET_READY, &wire_net_ready_message, &ready);
}

/* A sentence that is too long for a message is cut. */
static void copy_sentence(char ret_text[LIMIT_SENTENCE_BYTES], const char *sentence)
{
	size_t length = MIN(strlen(sentence), LIMIT_SENTENCE_BYTES - 1);

	memcpy(ret_text, sentence, length);
	ret_text[length] = '\0';
}

int control_say_failed(struct control *control, const char *sentence)
{
	char text[LIMIT_SENTENCE_BYTES];
	struct wire_fail fail = {.code = 125, .text = text};

	copy_sentence(text, sentence);
	return say(control, WIRE_FAIL, &wire_fail_message, &fail);
}

static void enqueue(struct control *control, enum wire_type type,
		    const struct wire_message *message, const void *from)
{
	long length = wire_pack(type, 0, message, from, control->buffer + control->queued,
				sizeof(control->buffer) - control->queued);

	if (length > 0)
		control->queued += (size_t)length;
}

void control_warn(struct control *control, const char *fmt, ...)
{
	char text[LIMIT_SENTENCE_BYTES];
	struct wire_sentence sentence = {.text = text};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	enqueue(control, WIRE_WARNING, &wire_sentence_message, &sentence);
}

void control_send_stats(struct control *control, const struct wire_net_stats *stats)
{
	enqueue(control, WIRE_NET_STATS, &wire_net_stats_message, stats);
}

void control_fill(struct control *control, struct pollset *set)
{
	control->index = pollset_add(set, control->fd,
				     (short)(POLLIN | (control->queued > 0 ? POLLOUT : 0)));
}

/* What a newer krun-vmm may say is passed over. */
static int take_frames(struct control *control)
{
	struct wire_frame frame;
	size_t at = 0, used;
	int r;

	while ((r = wire_frame_parse(control->input + at, control->taken - at, &frame, &used)) ==
	       0) {
		control->stats_asked |= frame.type == WIRE_STATS_ASK;
		at += used;
	}
	control->taken -= at;
	memmove(control->input, control->input + at, control->taken);
	return r == -EAGAIN && control->taken < sizeof(control->input) ? 0 : -EPIPE;
}

static int read_some(struct control *control)
{
	ssize_t n = recv(control->fd, control->input + control->taken,
			 sizeof(control->input) - control->taken, MSG_DONTWAIT);

	if (n == 0)
		return -EPIPE;
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
	control->taken += (size_t)n;
	return take_frames(control);
}

static int write_queued(struct control *control)
{
	ssize_t n = send(control->fd, control->buffer, control->queued, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS
			       ? 0
			       : -errno;
	control->queued -= (size_t)n;
	memmove(control->buffer, control->buffer + n, control->queued);
	return 0;
}

int control_poll(struct control *control, const struct pollset *set)
{
	short events = pollset_events(set, control->index);

	if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) {
		int r = read_some(control);

		if (r < 0)
			return r;
	}
	return (events & POLLOUT) != 0 ? write_queued(control) : 0;
}
