/* SPDX-License-Identifier: Apache-2.0 */
/* Frames on a stream socket, and the flow table. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/fd.h"
#include "flow.h"
#include "frames.h"
#include "packet.h"

static struct frames_reader reader;
static struct frames_queue queue;
static struct flow_table flows;
static int fds[2] = {-1, -1};

static int set_up(void **state)
{
	(void)state;
	memset(&reader, 0, sizeof(reader));
	memset(&queue, 0, sizeof(queue));
	memset(&flows, 0, sizeof(flows));
	flow_table_init(&flows, 1);
	return fd_socketpair(fds);
}

static int tear_down(void **state)
{
	(void)state;
	fds[0] = fd_close(fds[0]);
	fds[1] = fd_close(fds[1]);
	return 0;
}

static void write_head(uint32_t length)
{
	uint8_t head[4];

	put_be32(head, length);
	assert_int_equal(fd_write_all(fds[1], head, sizeof(head)), 0);
}

static void a_frame_may_come_byte_by_byte(void **state)
{
	static const uint8_t bytes[] = {0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 1, 'z'};
	uint8_t *frame;
	size_t length, found = 0;
	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(frames_read(&reader, fds[0]), -EAGAIN);
		assert_int_equal(fd_write_all(fds[1], bytes + i, 1), 0);
		assert_int_equal(frames_read(&reader, fds[0]), 1);
		if (frames_next(&reader, &frame, &length) == 0) {
			found++;
			assert_int_equal(length, found == 1 ? 3 : 1);
			assert_memory_equal(frame, found == 1 ? "abc" : "z", length);
		}
	}
	assert_int_equal(found, 2);
}

static void an_impossible_length_ends_the_stream(void **state)
{
	static const uint32_t lengths[] = {0, LIMIT_FRAME_BYTES + 1, 0x80000000, UINT32_MAX};
	uint8_t *frame;
	size_t length;
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memset(&reader, 0, sizeof(reader));
		write_head(lengths[i]);
		assert_int_equal(frames_read(&reader, fds[0]), 4);
		assert_int_equal(frames_next(&reader, &frame, &length), -EBADMSG);
	}
}

static void the_longest_frame_is_read(void **state)
{
	static uint8_t data[LIMIT_FRAME_BYTES];
	uint8_t *frame;
	size_t length;
	(void)state;
	memset(data, 'x', sizeof(data));
	for (int i = 0; i < 5; i++) {
		write_head(sizeof(data));
		assert_int_equal(fd_write_all(fds[1], data, sizeof(data)), 0);
		while (frames_next(&reader, &frame, &length) == -EAGAIN)
			assert_true(frames_read(&reader, fds[0]) > 0);
		assert_int_equal(length, sizeof(data));
		assert_memory_equal(frame, data, sizeof(data));
	}
}

static void end_of_file_is_told(void **state)
{
	(void)state;
	fds[1] = fd_close(fds[1]);
	assert_int_equal(frames_read(&reader, fds[0]), -EPIPE);
}

static void enqueue(uint8_t mark, size_t length)
{
	uint8_t *frame = frames_reserve(&queue, length);

	memset(frame, mark, length);
	frames_commit(&queue, frame, length);
}

/* Reads what was written, whole frames only; returns the mark of the next one. */
static int next_mark(void)
{
	uint8_t *frame;
	size_t length;

	while (frames_next(&reader, &frame, &length) != 0) {
		if (frames_read(&reader, fds[1]) < 0)
			return -1;
	}
	for (size_t i = 1; i < length; i++)
		assert_int_equal(frame[i], frame[0]);
	return frame[0];
}

static void a_reservation_may_be_given_up(void **state)
{
	(void)state;
	enqueue(1, 10);
	memset(frames_reserve(&queue, 20), 9, 20);
	enqueue(2, 10);
	assert_int_equal(frames_write(&queue, fds[0]), 0);
	assert_int_equal(next_mark(), 1);
	assert_int_equal(next_mark(), 2);
	assert_int_equal(next_mark(), -1);
}

/* A reader that stops: the oldest go, the one it has seen a part of stays whole, the bound holds. */
static void a_full_queue_drops_the_oldest(void **state)
{
	int seen = 0, last = -1, mark;
	(void)state;
	for (int i = 0; i < 200; i++) {
		enqueue((uint8_t)i, LIMIT_FRAME_BYTES);
		assert_int_equal(frames_write(&queue, fds[0]), 0);
		assert_true(frames_queued_bytes(&queue) <= FRAMES_QUEUE_BYTES);
	}
	assert_true(queue.dropped > 100);
	assert_true(queue.partial > 0);
	while ((mark = next_mark()) >= 0) {
		assert_true(mark > last);
		last = mark;
		seen++;
		assert_int_equal(frames_write(&queue, fds[0]), 0);
	}
	assert_int_equal(last, 199);
	assert_int_equal(seen + (int)queue.dropped, 200);
	assert_int_equal(frames_queued_bytes(&queue), 0);
}

static void small_frames_keep_their_bounds(void **state)
{
	int seen = 0;
	(void)state;
	for (int i = 0; i < 100000; i++)
		enqueue((uint8_t)i, 14 + (size_t)i % 90);
	assert_true(queue.dropped > 0);
	do {
		assert_int_equal(frames_write(&queue, fds[0]), 0);
		while (next_mark() >= 0)
			seen++;
	} while (frames_queued_bytes(&queue) > 0);
	assert_int_equal(seen + (int)queue.dropped, 100000);
}

static void a_gone_reader_is_an_error(void **state)
{
	(void)state;
	fds[1] = fd_close(fds[1]);
	enqueue(1, 100);
	assert_true(frames_write(&queue, fds[0]) < 0);
}

static struct packet make_packet(int i, uint8_t protocol)
{
	uint8_t address[4] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

	return (struct packet){.remote = address_from4(address),
			       .remote_port = 443,
			       .guest_port = (uint16_t)(i + 1),
			       .protocol = protocol};
}

static void flows_are_known_by_all_their_parts(void **state)
{
	struct packet packet = make_packet(1, IPPROTO_TCP), other;
	(void)state;
	assert_false(flow_touch(&flows, &packet, 0));
	flow_add(&flows, &packet, 0);
	assert_true(flow_touch(&flows, &packet, 1));
	other = packet;
	other.protocol = IPPROTO_UDP;
	assert_false(flow_touch(&flows, &other, 1));
	other = packet;
	other.remote_port++;
	assert_false(flow_touch(&flows, &other, 1));
	other = packet;
	other.guest_port++;
	assert_false(flow_touch(&flows, &other, 1));
	other = packet;
	other.remote.s6_addr[15]++;
	assert_false(flow_touch(&flows, &other, 1));
}

/* A guest may make as many flows as it likes: only the oldest of them are forgotten. */
static void the_flow_silent_longest_goes(void **state)
{
	struct packet kept = make_packet(0, IPPROTO_TCP), packet;
	(void)state;
	for (int i = 0; i < 20 * FLOW_COUNT_MAX; i++) {
		packet = make_packet(i, IPPROTO_TCP);
		flow_add(&flows, &packet, i);
		assert_true(flow_touch(&flows, &kept, i));
	}
	for (int i = 1; i < 20 * FLOW_COUNT_MAX; i++) {
		packet = make_packet(i, IPPROTO_TCP);
		assert_int_equal(flow_touch(&flows, &packet, i), i > 19 * FLOW_COUNT_MAX);
	}
}

static void a_flow_is_added_once(void **state)
{
	struct packet packet = make_packet(7, IPPROTO_TCP);
	(void)state;
	for (int i = 0; i < 10; i++)
		flow_add(&flows, &packet, i);
	assert_int_equal(flows.count, 1);
}

static void silent_datagram_flows_end(void **state)
{
	struct packet udp = make_packet(1, IPPROTO_UDP), tcp = make_packet(1, IPPROTO_TCP);
	(void)state;
	flow_add(&flows, &udp, 0);
	flow_add(&flows, &tcp, 0);
	assert_true(flow_touch(&flows, &udp, FLOW_SILENT_MS));
	assert_true(flow_touch(&flows, &udp, 2 * FLOW_SILENT_MS));
	assert_false(flow_touch(&flows, &udp, 3 * FLOW_SILENT_MS + 1));
	assert_true(flow_touch(&flows, &tcp, 9 * FLOW_SILENT_MS));
	flow_add(&flows, &udp, 9 * FLOW_SILENT_MS);
	assert_true(flow_touch(&flows, &udp, 9 * FLOW_SILENT_MS));
	assert_int_equal(flows.count, 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_frame_may_come_byte_by_byte),
		T(an_impossible_length_ends_the_stream),
		T(the_longest_frame_is_read),
		T(end_of_file_is_told),
		T(a_reservation_may_be_given_up),
		T(a_full_queue_drops_the_oldest),
		T(small_frames_keep_their_bounds),
		T(a_gone_reader_is_an_error),
		T(flows_are_known_by_all_their_parts),
		T(the_flow_silent_longest_goes),
		T(a_flow_is_added_once),
		T(silent_datagram_flows_end),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
