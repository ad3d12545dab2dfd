/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile guest says on its control channel: the input, byte by byte as it comes. */
#include "guest.c"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct guest guest;
static unsigned readies, exits;

static void on_hello(void *owner, const struct wire_hello *hello)
{
	struct wire_hello answer = {.version = WIRE_VERSION, .role = WIRE_ROLE_VMM};

	assert(hello->version == WIRE_VERSION);
	(void)!guest_send(&guest, WIRE_HELLO, &wire_hello_message, &answer);
}

static void on_ready(void *owner, const struct wire_ready *ready)
{
	assert(++readies == 1);
}

static void on_output(void *owner, enum log_stream stream, const void *output, size_t length)
{
	volatile uint8_t sum = 0;

	assert(stream == LOG_STREAM_STDOUT || stream == LOG_STREAM_STDERR);
	assert(length <= LIMIT_PAYLOAD_BYTES);
	for (size_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)output)[i]);
}

static void on_exited(void *owner, const struct wire_exited *exited)
{
	assert(++exits == 1);
	assert(exited->reason == NULL || strlen(exited->reason) < LIMIT_PAYLOAD_BYTES);
}

static void on_warned(void *owner, const char *sentence)
{
	assert(strlen(sentence) < LIMIT_PAYLOAD_BYTES);
}

static void on_stats(void *owner, const struct wire_stats *stats)
{
	(void)stats;
}

static void on_lost(void *owner, const char *sentence)
{
	assert(!link_is_open(&guest.link));
}

static const struct guest_calls calls = {
	.hello = on_hello,
	.ready = on_ready,
	.output = on_output,
	.exited = on_exited,
	.warned = on_warned,
	.stats = on_stats,
	.lost = on_lost,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loop loop;
	int pair[2];
	size_t step = size > 0 ? 1 + data[0] * 16U : 1;

	readies = exits = 0;
	loop_init(&loop);
	guest_init(&guest, &loop, &calls, NULL);
	assert(fd_socketpair(pair) == 0);
	assert(fd_set_nonblock(pair[1], true) == 0);
	assert(guest_open(&guest, pair[0], NULL) == 0);
	for (size_t at = 1; at < size && link_is_open(&guest.link); at += step) {
		ssize_t n = send(pair[1], data + at, MIN(step, size - at), MSG_NOSIGNAL);

		assert(n > 0);
		assert(loop_turn(&loop, clock_monotonic_ms()) == 0);
		assert(guest.link.in.length < WIRE_FRAME_BYTES_MAX);
	}
	fd_close(pair[1]);
	guest_drain(&guest);
	guest_done(&guest);
	loop_done(&loop);
	return 0;
}
