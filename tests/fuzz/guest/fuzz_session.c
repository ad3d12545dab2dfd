/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that sends anything, in any portions, to a session whose process reads, prints and ends at any
 * time. Input: operations of one byte and one for their size; those that send are followed by the data.
 * What must hold: the guest is never sent to beyond its window, sends nothing beyond its credit, and
 * writes whole frames only.
 */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

/* clang-format off */
#include "../../../src/guest/session.c"
#include "fake_process.h"
/* clang-format on */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int guest_fd, host_fd;
static bool port_is_late; /* it is not there when it is first looked for */
static uint64_t output_allowed[OUTPUTS];
static uint8_t received[4 * WIRE_FRAME_BYTES_MAX];
static size_t received_bytes;

void control_warn(const char *format, ...)
{
	(void)format;
}

int platform_session_dial(uint32_t port, bool *ret_connecting)
{
	(void)port;
	*ret_connecting = false;
	if (port_is_late)
		return -EAGAIN;
	return dup(guest_fd);
}

bool platform_has_session_ports(void)
{
	return false;
}

static void check_frame(const struct wire_frame *frame)
{
	size_t output = frame->type == WIRE_STDOUT ? 0 : 1;

	if (frame->type != WIRE_STDOUT && frame->type != WIRE_STDERR)
		return;
	assert(frame->length <= output_allowed[output]);
	output_allowed[output] -= frame->length;
}

static void receive(void)
{
	struct wire_frame frame;
	size_t used, start = 0;
	ssize_t n;

	while ((n = read(host_fd, received + received_bytes, sizeof(received) - received_bytes)) >
	       0) {
		int r;

		received_bytes += (size_t)n;
		while ((r = wire_frame_parse(received + start, received_bytes - start, &frame,
					     &used)) == 0) {
			check_frame(&frame);
			start += used;
		}
		assert(r == -EAGAIN);
		memmove(received, received + start, received_bytes - start);
		received_bytes -= start;
		start = 0;
	}
}

/* As the guest counts it: its frames and ours cross. */
static void note_credit(void)
{
	for (size_t i = 0; i < OUTPUTS; i++)
		output_allowed[i] = MAX(output_allowed[i], sessions[0].output_credit[i].open);
}

static void run_loop_once(void)
{
	static struct loop loop;

	loop_begin(&loop);
	session_watch(&loop);
	loop_wake_at(&loop, 0);
	note_credit();
	loop_wait(&loop);
	note_credit();
	session_advance();
	receive();
}

static void check_invariants(void)
{
	const struct session *s = &sessions[0];

	if (s->state == SESSION_FREE || s->gone || s->stdin_ended || s->state == SESSION_ENDING ||
	    s->state == SESSION_DRAINING)
		return;
	assert(s->stdin_credit.open + s->stdin_credit.owed + s->stdin_ring.length ==
	       LIMIT_WINDOW_BYTES);
}

static size_t operate(uint8_t operation, uint8_t amount, const uint8_t *data, size_t size)
{
	static const uint8_t zeroes[64 * KIB];
	static uint8_t nowhere[64 * KIB];
	size_t portion = MIN((size_t)amount + 1, size);

	switch (operation % 6) {
	case 0:
		(void)!send(host_fd, data, portion, MSG_NOSIGNAL | MSG_DONTWAIT);
		return portion;
	case 1:
		(void)!read(process_stdin_fd, nowhere, (size_t)amount * 256);
		break;
	case 2:
		(void)!write(process_stdout_fd, zeroes, (size_t)amount * 256);
		break;
	case 3:
		(void)!write(process_stderr_fd, zeroes, amount);
		break;
	case 4:
		close_fake_process();
		(void)session_reap(FAKE_PID, amount);
		break;
	case 5:
		/* Data as real clients send it, which a fuzzer would have to invent byte by byte. */
		if (amount < 64) {
			uint8_t head[WIRE_HEAD_BYTES];

			wire_frame_head(head, WIRE_STDIN, 0, (size_t)amount * KIB);
			(void)!send(host_fd, head, sizeof(head), MSG_NOSIGNAL | MSG_DONTWAIT);
			(void)!send(host_fd, zeroes, (size_t)amount * KIB,
				    MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		break;
	}
	return 0;
}

static void end(void)
{
	close_fake_process();
	channel_close(&sessions[0].channel);
	if (sessions[0].state != SESSION_FREE)
		session_free(&sessions[0]);
	close(guest_fd);
	close(host_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct wire_open open = {.session = 1, .process = {.argv = {"x"}}};
	int fds[2];

	if (size < 1)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	guest_fd = fds[0];
	host_fd = fds[1];
	received_bytes = 0;
	memset(output_allowed, 0, sizeof(output_allowed));
	session_init();
	open.process.tty = data[0] & 1;
	open.process.rows = data[0] >> 1;
	port_is_late = (data[0] & 0x80) != 0;
	session_open(&open);
	if (port_is_late) {
		assert(sessions[0].state == SESSION_AWAITING);
		port_is_late = false;
		sessions[0].look_at_ns = 0;
		run_loop_once();
		assert(sessions[0].state != SESSION_AWAITING);
	}
	for (size_t i = 1; i + 1 < size;) {
		uint8_t operation = data[i], amount = data[i + 1];

		i += 2;
		i += operate(operation, amount, data + i, size - i);
		for (int turn = 0; turn < 3; turn++)
			run_loop_once();
		check_invariants();
	}
	end();
	return 0;
}
