/* SPDX-License-Identifier: Apache-2.0 */
/* What a client's messages do to its session, what it gets back, and who waits for whom. */
#include "exec_ws_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/exec_channel.h"

#define WINDOW LIMIT_WINDOW_BYTES

static int tear_down(void **state)
{
	rig_end();
	return 0;
}

/* ---- the client ---- */

enum {
	TEXT = 1,
	BINARY = 2,
	CLOSE = 8,
	PING = 9,
	PONG = 10,
};

static void append(struct buf *out, const void *data, size_t length)
{
	assert_int_equal(buf_append(out, data, length), 0);
}

/* As a client writes it, with a mask of zeros. */
static void make_frame(struct buf *out, int opcode, const void *data, size_t length)
{
	uint8_t head[14] = {(uint8_t)(0x80 | opcode)};
	size_t at = 2;

	if (length < 126) {
		head[1] = (uint8_t)(0x80 | length);
	} else if (length < 65536) {
		head[1] = 0x80 | 126;
		head[at++] = (uint8_t)(length >> 8);
		head[at++] = (uint8_t)length;
	} else {
		head[1] = 0x80 | 127;
		for (int i = 7; i >= 0; i--)
			head[at++] = (uint8_t)((uint64_t)length >> (8 * i));
	}
	append(out, head, at + 4);
	append(out, data, length);
}

static void client_sends(int opcode, const void *data, size_t length)
{
	_cleanup_buf_ struct buf frame;

	buf_init(&frame, 2 * MIB);
	make_frame(&frame, opcode, data, length);
	assert_int_equal(rig_feed(frame.data, frame.length), frame.length);
}

static void client_says(const char *text)
{
	client_sends(TEXT, text, strlen(text));
}

/* Takes one frame of what was written; its data is in `data`, with a NUL behind. */
static int client_gets(struct buf *data)
{
	const uint8_t *frame = (const uint8_t *)rig.written.data;
	size_t length, head = 2;
	int opcode;

	assert_true(rig.written.length >= 2);
	opcode = frame[0] & 0x0f;
	assert_int_equal(frame[0] & 0xf0, 0x80);
	length = frame[1];
	if (length == 126) {
		length = (size_t)frame[2] << 8 | frame[3];
		head = 4;
	} else if (length == 127) {
		length = 0;
		for (int i = 2; i < 10; i++)
			length = length << 8 | frame[i];
		head = 10;
	}
	assert_true(rig.written.length >= head + length);
	buf_clear(data);
	append(data, frame + head, length);
	buf_consume(&rig.written, head + length);
	return opcode;
}

static void expect_output(uint8_t channel, const void *bytes, size_t length)
{
	_cleanup_buf_ struct buf data;

	buf_init(&data, 1 * MIB);
	assert_int_equal(client_gets(&data), BINARY);
	assert_int_equal(data.length, length + 1);
	assert_int_equal((uint8_t)data.data[0], channel);
	if (length > 0)
		assert_memory_equal(data.data + 1, bytes, length);
}

static void expect_close(int status)
{
	_cleanup_buf_ struct buf data;

	buf_init(&data, 1 * MIB);
	assert_int_equal(client_gets(&data), CLOSE);
	assert_true(data.length >= 2);
	assert_int_equal((uint8_t)data.data[0] << 8 | (uint8_t)data.data[1], status);
	assert_int_equal(rig.written.length, 0);
}

static void expect_end(const char *json)
{
	expect_output(EXEC_CHANNEL_EXIT, json, strlen(json));
	expect_close(1000);
}

static void run_command(size_t room)
{
	rig_begin(room);
	client_says("{\"cmd\": [\"cat\"]}");
	assert_non_null(rig.session);
}

/* ---- tests ---- */

static void the_answer_to_a_key(void **state)
{
	char accept[WEBSOCKET_ACCEPT_BYTES];

	/* RFC 6455, 1.3 */
	assert_int_equal(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept), 0);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_int_equal(websocket_accept("", accept), -EINVAL);
	assert_int_equal(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=", accept), -EINVAL);
	assert_int_equal(websocket_accept("dGhlIHNhbXBsZSBub25jZQ===", accept), -EINVAL);
	assert_int_equal(websocket_accept("dGhlIHNhbXBsZSBub25jZXh=", accept), -EINVAL);
	assert_int_equal(websocket_accept("dGhlIHNh!XBsZSBub25jZQ==", accept), -EINVAL);
}

static void the_first_message_says_what_runs(void **state)
{
	rig_begin(WINDOW);
	client_says("{\"cmd\": [\"sh\"], \"tty\": true, \"rows\": 24, \"columns\": 80}");
	assert_string_equal(rig.session->cmd, "sh");
	assert_true(rig.session->tty);
	assert_int_equal(rig.session->rows, 24);
	assert_int_equal(rig.session->columns, 80);
}

static void channels_go_to_the_session(void **state)
{
	run_command(WINDOW);
	client_sends(BINARY, "\0in", 3);
	client_sends(BINARY, "\4{\"width\": 120, \"height\": 40}", 29);
	client_says("{\"signal\": \"SIGINT\"}");
	client_sends(BINARY, "\0put", 4);
	client_sends(BINARY, "\xff\0", 2);
	assert_int_equal(rig.session->input.length, 5);
	assert_memory_equal(rig.session->input.data, "input", 5);
	assert_true(rig.session->input_ended);
	assert_int_equal(rig.session->resizes, 1);
	assert_int_equal(rig.session->new_rows, 40);
	assert_int_equal(rig.session->new_columns, 120);
	assert_int_equal(rig.session->signal, 2);
	assert_int_equal(rig.written.length, 0);
}

static void what_no_client_may_say(void **state)
{
	static const struct {
		int opcode;
		const char *data;
		size_t length;
		int status;
	} bad[] = {
		{BINARY, "", 0, 1008},
		{BINARY, "\1x", 2, 1008},
		{BINARY, "\3{}", 3, 1008},
		{BINARY, "\5", 1, 1008},
		{BINARY, "\xff", 1, 1008},
		{BINARY, "\xff\1", 2, 1008},
		{BINARY, "\4{", 2, 1007},
		{BINARY, "\4{\"width\": 0, \"height\": 1}", 26, 1008},
		{BINARY, "\4{\"width\": 1, \"height\": 65536}", 30, 1008},
		{TEXT, "x", 1, 1007},
		{TEXT, "[]", 2, 1008},
		{TEXT, "{\"signal\": \"0\"}", 15, 1008},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		run_command(WINDOW);
		client_sends(bad[i].opcode, bad[i].data, bad[i].length);
		assert_null(rig.session);
		expect_close(bad[i].status);
		/* Our close is answered: nothing is left to wait for. */
		client_sends(CLOSE, "\3\xe8", 2);
		assert_null(rig.request);
		rig_end();
	}
	rig_begin(WINDOW);
	client_sends(BINARY, "\0x", 2);
	expect_close(1008);
}

static void messages_have_limits(void **state)
{
	static char large[EXEC_MESSAGE_BYTES_MAX + 1];
	_cleanup_buf_ struct buf frame;

	run_command(WINDOW);
	client_sends(BINARY, large, sizeof(large) - 1);
	assert_int_equal(rig.session->input.length, LIMIT_PAYLOAD_BYTES);
	buf_init(&frame, 1 * MIB);
	make_frame(&frame, BINARY, large, sizeof(large));
	rig_feed(frame.data, frame.length);
	expect_close(1009);
	assert_null(rig.session);
}

static void output_comes_on_its_channel(void **state)
{
	static const size_t lengths[] = {1, 124, 125, 126, 65534, 65535, 65536};
	static char data[LIMIT_PAYLOAD_BYTES];

	run_command(WINDOW);
	memset(data, 'x', sizeof(data));
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		rig_output(WIRE_STREAM_STDOUT, data, lengths[i]);
		expect_output(EXEC_CHANNEL_STDOUT, data, lengths[i]);
	}
	rig_output(WIRE_STREAM_STDERR, "e", 1);
	expect_output(EXEC_CHANNEL_STDERR, "e", 1);
	assert_int_equal(rig.session->unpaid, 0);
}

static void the_guest_is_paid_for_what_has_left(void **state)
{
	static const char data[1000];

	run_command(WINDOW);
	rig.queued = 1500;
	rig_output(WIRE_STREAM_STDOUT, data, 1000);
	assert_int_equal(rig.session->unpaid, 1000);
	rig_output(WIRE_STREAM_STDERR, data, 1000);
	assert_int_equal(rig.session->unpaid, 1500);
	rig.queued = 300;
	rig.request->on_drain(rig.request);
	assert_int_equal(rig.session->unpaid, 300);
	rig.queued = 0;
	rig.request->on_drain(rig.request);
	assert_int_equal(rig.session->unpaid, 0);
}

static void the_client_waits_for_the_guest(void **state)
{
	_cleanup_buf_ struct buf frames;
	size_t used, total;

	run_command(3);
	client_sends(BINARY, "\0one two", 8);
	assert_true(rig.paused);
	assert_int_equal(rig.session->input.length, 3);
	rig_make_room(1);
	assert_true(rig.paused);
	rig_make_room(100);
	assert_false(rig.paused);
	assert_memory_equal(rig.session->input.data, "one two", 7);
	/* What was read ahead comes although it is paused; and all of it in its order. */
	rig.session->room = 0;
	buf_clear(&rig.session->input);
	buf_init(&frames, 1 * MIB);
	for (int i = 0; i < 5000; i++)
		make_frame(&frames, BINARY, (char[]){0, (char)i}, 2);
	used = rig_feed(frames.data, frames.length);
	assert_true(rig.paused);
	assert_true(used <= WEBSOCKET_AHEAD_BYTES);
	while (used < frames.length) {
		rig_make_room(10);
		total = rig.session->input.length;
		used += rig_feed(frames.data + used, frames.length - used);
		assert_true(rig.session->input.length <= total + 10);
	}
	rig_make_room(WINDOW);
	assert_int_equal(rig.session->input.length, 5000);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(rig.session->input.data[i], (char)i);
}

static void the_end_of_input_waits_for_its_turn(void **state)
{
	run_command(0);
	rig_feed("\x82\x82\0\0\0\0\0x\x82\x82\0\0\0\0\xff\0", 16);
	assert_false(rig.session->input_ended);
	rig_make_room(1);
	assert_int_equal(rig.session->input.length, 1);
	assert_true(rig.session->input_ended);
	client_sends(BINARY, "\0x", 2);
	expect_close(1008);
}

static void orders_wait_too(void **state)
{
	run_command(WINDOW);
	rig.session->has_room = false;
	client_says("{\"signal\": \"HUP\"}");
	assert_true(rig.paused);
	rig.session->has_room = true;
	rig_make_room(0);
	assert_false(rig.paused);
}

static void how_it_ends(void **state)
{
	run_command(WINDOW);
	rig_exit(&(struct session_end){.outcome = SESSION_EXITED, .code = 3});
	expect_end("{\"exit_code\":3,\"signal\":null}");
	rig_end();
	run_command(WINDOW);
	rig_exit(&(struct session_end){.outcome = SESSION_EXITED,
				       .code = 137,
				       .signal = 9,
				       .timed_out = true});
	expect_end("{\"exit_code\":137,\"signal\":9,\"timed_out\":true}");
	rig_end();
	run_command(WINDOW);
	rig_exit(&(struct session_end){.outcome = SESSION_REFUSED, .code = 127, .sentence = "no"});
	expect_end("{\"exit_code\":127,\"signal\":null,\"error\":\"no\",\"code\":"
		   "\"command_not_found\",\"request_id\":\"0-1\"}");
	rig_end();
	run_command(WINDOW);
	rig_exit(&(struct session_end){.outcome = SESSION_LOST, .sentence = "gone"});
	expect_end("{\"error\":\"gone\",\"code\":\"machine_ended\",\"request_id\":\"0-1\"}");
	rig_end();
	rig_begin(WINDOW);
	client_says("{\"cmd\": [\"refused\"]}");
	expect_end("{\"error\":\"refused\",\"code\":\"wrong_state\",\"request_id\":\"0-1\"}");
	rig_end();
	rig_begin(WINDOW);
	rig.is_gone = true;
	client_says("{\"cmd\": [\"true\"]}");
	expect_end("{\"error\":\"the machine is not there any more\",\"code\":"
		   "\"machine_not_found\",\"request_id\":\"0-1\"}");
}

static void the_end_lets_a_waiting_client_go_on(void **state)
{
	run_command(0);
	client_sends(BINARY, "\0never read", 11);
	assert_true(rig.paused);
	rig_exit(&(struct session_end){.outcome = SESSION_EXITED});
	assert_false(rig.paused);
	client_sends(BINARY, "\0nor this", 9);
	client_sends(CLOSE, "\3\xe8", 2);
	assert_null(rig.request);
}

static void a_client_that_closes_is_answered(void **state)
{
	run_command(WINDOW);
	client_sends(CLOSE,
		     "\3\xe8"
		     "bye",
		     5);
	assert_null(rig.request);
	assert_null(rig.session);
	expect_close(1000);
}

static void pings_are_answered(void **state)
{
	_cleanup_buf_ struct buf data;

	run_command(WINDOW);
	client_sends(PING, "hello", 5);
	buf_init(&data, 1 * MIB);
	assert_int_equal(client_gets(&data), PONG);
	assert_string_equal(data.data, "hello");
}

/* ---- deadlines ---- */

static void time_passes(uint64_t ms)
{
	struct exec_ws *ws = rig.request->data;

	ws->heard_ms -= ms;
	on_timer(ws->timer);
}

static void a_first_message_that_does_not_come(void **state)
{
	rig_begin(WINDOW);
	time_passes(EXEC_OPEN_TIMEOUT_MS);
	expect_close(1008);
	/* Nor does its close. */
	time_passes(EXEC_CLOSE_TIMEOUT_MS);
	assert_null(rig.request);
}

static void a_silent_client(void **state)
{
	_cleanup_buf_ struct buf data;

	run_command(WINDOW);
	buf_init(&data, 1 * MIB);
	time_passes(EXEC_PING_INTERVAL_MS);
	assert_int_equal(client_gets(&data), PING);
	client_sends(PONG, "", 0);
	time_passes(EXEC_SILENCE_TIMEOUT_MS - 1000);
	assert_int_equal(client_gets(&data), PING);
	assert_false(rig.aborted);
	time_passes(1001);
	assert_true(rig.aborted);
	assert_null(rig.session);
}

static void a_client_that_is_held_back_is_not_silent(void **state)
{
	run_command(0);
	client_sends(BINARY, "\0x", 2);
	assert_true(rig.paused);
	time_passes(EXEC_SILENCE_TIMEOUT_MS + 1);
	assert_false(rig.aborted);
}

static void the_last_output_may_take_its_time(void **state)
{
	run_command(WINDOW);
	rig_exit(&(struct session_end){.outcome = SESSION_EXITED});
	rig.queued = 1;
	time_passes(EXEC_CLOSE_TIMEOUT_MS);
	assert_non_null(rig.request);
	rig.queued = 0;
	time_passes(EXEC_CLOSE_TIMEOUT_MS);
	assert_null(rig.request);
}

int main(void)
{
#define RIG_TEST(test) cmocka_unit_test_teardown(test, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answer_to_a_key),
		RIG_TEST(the_first_message_says_what_runs),
		RIG_TEST(channels_go_to_the_session),
		RIG_TEST(what_no_client_may_say),
		RIG_TEST(messages_have_limits),
		RIG_TEST(output_comes_on_its_channel),
		RIG_TEST(the_guest_is_paid_for_what_has_left),
		RIG_TEST(the_client_waits_for_the_guest),
		RIG_TEST(the_end_of_input_waits_for_its_turn),
		RIG_TEST(orders_wait_too),
		RIG_TEST(how_it_ends),
		RIG_TEST(the_end_lets_a_waiting_client_go_on),
		RIG_TEST(a_client_that_closes_is_answered),
		RIG_TEST(pings_are_answered),
		RIG_TEST(a_first_message_that_does_not_come),
		RIG_TEST(a_silent_client),
		RIG_TEST(a_client_that_is_held_back_is_not_silent),
		RIG_TEST(the_last_output_may_take_its_time),
	};

	return cmocka_run_group_tests_name("api-exec-ws", tests, NULL, NULL);
}
