/* SPDX-License-Identifier: Apache-2.0 */
/* Large frames that pass from one link to another unread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "link.h"

#define PAYLOAD_BYTES 60000

static struct loop loop;
static struct link source, target;
static int source_peer, target_peer;
static unsigned passed, read_frames, closed;
static size_t read_bytes;
static bool declines;
static uint8_t sent[WIRE_FRAME_BYTES_MAX], got[2 * MIB];

static int on_frame(struct link *link, const struct wire_frame *frame)
{
	read_frames++;
	read_bytes += frame->length;
	return 0;
}

static void on_closed(struct link *link, int error)
{
	closed++;
}

static struct link *on_bulk(struct link *link, const struct wire_frame *head)
{
	assert_int_equal(head->type, WIRE_STDOUT);
	assert_null(head->payload);
	if (declines || !link_is_clear(&target))
		return NULL;
	passed++;
	return &target;
}

static void open_link(struct link *link, const struct link_calls *calls, int *ret_peer)
{
	int pair[2];

	assert_int_equal(fd_socketpair(pair), 0);
	link_init(link, &loop, calls, NULL);
	assert_int_equal(link_open(link, pair[0], 1 * MIB), 0);
	*ret_peer = pair[1];
}

static int open_links(void **state)
{
	static const struct link_calls source_calls = {.frame = on_frame,
						       .closed = on_closed,
						       .bulk = on_bulk};
	static const struct link_calls target_calls = {.frame = on_frame, .closed = on_closed};

	passed = read_frames = closed = 0;
	read_bytes = 0;
	declines = false;
	loop_init(&loop);
	open_link(&source, &source_calls, &source_peer);
	open_link(&target, &target_calls, &target_peer);
	wire_frame_head(sent, WIRE_STDOUT, WIRE_STREAM_STDOUT, PAYLOAD_BYTES);
	for (size_t i = 0; i < PAYLOAD_BYTES; i++)
		sent[WIRE_HEAD_BYTES + i] = (uint8_t)(i * 7 + i / 256);
	return 0;
}

static int close_links(void **state)
{
	link_done(&source);
	link_done(&target);
	loop_done(&loop);
	fd_close(source_peer);
	fd_close(target_peer);
	return 0;
}

static void turn(void)
{
	assert_int_equal(loop_turn(&loop, clock_monotonic_ms() + 10000), 0);
}

static void send_frame(void)
{
	const size_t whole = WIRE_HEAD_BYTES + PAYLOAD_BYTES;

	assert_int_equal(write(source_peer, sent, whole), whole);
}

/* All that comes out of the target: `skip` bytes of something else, then `count` frames. */
static void take_frames(size_t skip, size_t count)
{
	const size_t whole = WIRE_HEAD_BYTES + PAYLOAD_BYTES;
	size_t length = 0;

	while (length < skip + count * whole) {
		ssize_t n = recv(target_peer, got + length, sizeof(got) - length, MSG_DONTWAIT);

		if (n > 0)
			length += (size_t)n;
		else
			turn();
	}
	assert_int_equal(length, skip + count * whole);
	for (size_t i = 0; i < count; i++)
		assert_memory_equal(got + skip + i * whole, sent, whole);
	assert_int_equal(target.out.length, 0);
}

static void a_large_frame_passes_unread(void **state)
{
	send_frame();
	turn();
	assert_int_equal(passed, 1);
	take_frames(0, 1);
	send_frame();
	turn();
	take_frames(0, 1);
	assert_int_equal(passed, 2);
	assert_int_equal(read_frames, 0);
}

static void one_that_is_declined_is_read(void **state)
{
	declines = true;
	send_frame();
	turn();
	assert_int_equal(read_frames, 1);
	assert_int_equal(read_bytes, PAYLOAD_BYTES);
	assert_true(link_is_clear(&target));
}

static void one_that_has_not_all_arrived_is_read_and_the_next_one_passes(void **state)
{
	assert_int_equal(write(source_peer, sent, 50000), 50000);
	turn();
	assert_int_equal(read_frames, 0);
	assert_int_equal(write(source_peer, sent + 50000, WIRE_HEAD_BYTES + PAYLOAD_BYTES - 50000),
			 WIRE_HEAD_BYTES + PAYLOAD_BYTES - 50000);
	send_frame();
	turn();
	assert_int_equal(read_frames, 1);
	turn();
	assert_int_equal(passed, 1);
	take_frames(0, 1);
}

static void small_frames_before_and_behind_it_are_read(void **state)
{
	uint8_t small[WIRE_HEAD_BYTES];

	wire_frame_head(small, WIRE_END, WIRE_STREAM_STDERR, 0);
	assert_int_equal(write(source_peer, small, sizeof(small)), sizeof(small));
	turn();
	send_frame();
	assert_int_equal(write(source_peer, small, sizeof(small)), sizeof(small));
	turn();
	turn();
	assert_int_equal(passed, 1);
	assert_int_equal(read_frames, 2);
	take_frames(0, 1);
}

static void one_that_came_in_crumbs_passes(void **state)
{
	const size_t whole = WIRE_HEAD_BYTES + PAYLOAD_BYTES;

	/* More pieces than a pipe has places by default. */
	for (size_t at = 0; at < whole; at += 500)
		assert_int_equal(write(source_peer, sent + at, MIN(500, whole - at)),
				 MIN(500, whole - at));
	turn();
	assert_int_equal(passed, 1);
	take_frames(0, 1);
}

/* The target takes a part, or nothing: what is left waits in its queue, and is not mixed with what follows. */
static void what_the_target_does_not_take_is_queued(void **state)
{
	for (size_t room = 0; room <= 40000; room += 20000) {
		size_t filled = 0;
		ssize_t n;

		while ((n = send(target.watch.fd, got, 10000, MSG_DONTWAIT)) > 0)
			filled += (size_t)n;
		if (room > 0) {
			n = recv(target_peer, got, room, MSG_WAITALL);
			assert_int_equal(n, room);
			filled -= room;
		}
		passed = 0;
		send_frame();
		turn();
		assert_int_equal(passed, 1);
		assert_int_equal(link_send_raw(&target, WIRE_STDOUT, WIRE_STREAM_STDOUT,
					       sent + WIRE_HEAD_BYTES, PAYLOAD_BYTES),
				 0);
		take_frames(filled, 2);
	}
}

static void a_target_whose_peer_is_gone_does_not_close_the_source(void **state)
{
	fd_close(target_peer);
	target_peer = -1;
	send_frame();
	turn();
	assert_int_equal(passed, 1);
	while (link_is_open(&target))
		turn();
	assert_int_equal(closed, 1);
	assert_true(link_is_open(&source));
}

static void what_came_before_the_end_passes(void **state)
{
	send_frame();
	fd_close(source_peer);
	source_peer = -1;
	link_drain(&source);
	assert_int_equal(passed, 1);
	assert_int_equal(closed, 1);
	take_frames(0, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_links, close_links)
	const struct CMUnitTest tests[] = {
		TEST(a_large_frame_passes_unread),
		TEST(one_that_is_declined_is_read),
		TEST(one_that_has_not_all_arrived_is_read_and_the_next_one_passes),
		TEST(small_frames_before_and_behind_it_are_read),
		TEST(one_that_came_in_crumbs_passes),
		TEST(what_the_target_does_not_take_is_queued),
		TEST(a_target_whose_peer_is_gone_does_not_close_the_source),
		TEST(what_came_before_the_end_passes),
	};
#undef TEST

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("vmm bulk", tests, NULL, NULL);
}
