/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "wire/message.h"
#include "wire/signal.h"

static void a_frame_is_read_whole_or_not_at_all(void **state)
{
	uint8_t data[WIRE_HEAD_BYTES + 3];
	struct wire_frame frame;
	size_t used;

	wire_frame_head(data, WIRE_STDOUT, WIRE_STREAM_STDOUT, 3);
	memcpy(data + WIRE_HEAD_BYTES, "abc", 3);
	for (size_t i = 0; i < sizeof(data); i++)
		assert_int_equal(wire_frame_parse(data, i, &frame, &used), -EAGAIN);
	assert_int_equal(wire_frame_parse(data, sizeof(data), &frame, &used), 0);
	assert_int_equal(used, sizeof(data));
	assert_int_equal(frame.type, WIRE_STDOUT);
	assert_int_equal(frame.stream, WIRE_STREAM_STDOUT);
	assert_int_equal(frame.length, 3);
	assert_memory_equal(frame.payload, "abc", 3);
}

static void an_impossible_length_is_refused_at_once(void **state)
{
	uint8_t data[4];
	struct wire_frame frame;
	size_t used;

	wire_put_u32(data, 3);
	assert_int_equal(wire_frame_parse(data, 4, &frame, &used), -EBADMSG);
	wire_put_u32(data, 4 + LIMIT_PAYLOAD_BYTES + 1);
	assert_int_equal(wire_frame_parse(data, 4, &frame, &used), -EBADMSG);
	wire_put_u32(data, 4 + LIMIT_PAYLOAD_BYTES);
	assert_int_equal(wire_frame_parse(data, 4, &frame, &used), -EAGAIN);
}

/* Packs, parses the frame and unpacks. The payload stays in `out`. */
static int round_trip(const struct wire_message *message, const void *from, void *to, uint8_t *out,
		      size_t size)
{
	struct wire_frame frame;
	size_t used;
	long length = wire_pack(WIRE_CONFIG, 0, message, from, out, size);

	if (length < 0)
		return (int)length;
	assert_int_equal(wire_frame_parse(out, (size_t)length, &frame, &used), 0);
	assert_int_equal(used, length);
	return wire_unpack(message, frame.payload, frame.length, to);
}

static void a_configuration_survives_the_round_trip(void **state)
{
	static uint8_t out[WIRE_FRAME_BYTES_MAX];
	static struct wire_config config, back;

	config = (struct wire_config){
		.root_kind = WIRE_ROOT_OVERLAY,
		.lower_device = "/dev/vda",
		.volumes = {{"vol0", "/data", 1}, {"vol1", "/more", 0}},
		.volume_count = 2,
		.dns = {"192.168.127.1"},
		.realtime_ns = UINT64_MAX,
		.process = {.argv = {"/bin/sh", "-c", "", NULL}, .env = {"A=\xff"}, .tty = 1},
	};
	assert_int_equal(round_trip(&wire_config_message, &config, &back, out, sizeof(out)), 0);
	assert_string_equal(back.lower_device, "/dev/vda");
	assert_null(back.upper_device);
	assert_int_equal(back.volume_count, 2);
	assert_string_equal(back.volumes[1].guest_path, "/more");
	assert_int_equal(back.volumes[0].read_only, 1);
	assert_string_equal(back.dns[0], "192.168.127.1");
	assert_null(back.dns[1]);
	assert_true(back.realtime_ns == UINT64_MAX);
	assert_string_equal(back.process.argv[2], "");
	assert_null(back.process.argv[3]);
	assert_string_equal(back.process.env[0], "A=\xff");
	assert_int_equal(back.process.tty, 1);
}

static void every_vector_is_full_at_its_limit_and_refused_past_it(void **state)
{
	static uint8_t out[WIRE_FRAME_BYTES_MAX];
	static struct wire_process process, back;
	struct wire_frame frame;
	size_t used;
	long length;

	for (size_t i = 0; i < LIMIT_ARGS; i++)
		process.argv[i] = "x";
	assert_int_equal(round_trip(&wire_process_message, &process, &back, out, sizeof(out)), 0);
	assert_non_null(back.argv[LIMIT_ARGS - 1]);
	assert_null(back.argv[LIMIT_ARGS]);

	length = wire_pack(WIRE_OPEN, 0, &wire_process_message, &process, out, sizeof(out));
	/* One more argument behind the others. */
	wire_put_u16(out + length, 1);
	wire_put_u32(out + length + 2, 2);
	memcpy(out + length + 6, "y", 2);
	wire_put_u32(out, (uint32_t)(wire_get_u32(out) + 8));
	assert_int_equal(wire_frame_parse(out, (size_t)length + 8, &frame, &used), 0);
	assert_int_equal(wire_unpack(&wire_process_message, frame.payload, frame.length, &back),
			 -EBADMSG);
}

static void too_large_a_message_is_refused_when_written(void **state)
{
	static uint8_t out[2 * WIRE_FRAME_BYTES_MAX];
	static char text[LIMIT_PAYLOAD_BYTES];
	struct wire_sentence sentence = {text};
	struct wire_sentence back;

	memset(text, 'a', sizeof(text) - 1);
	assert_int_equal(wire_pack(WIRE_WARNING, 0, &wire_sentence_message, &sentence, out,
				   sizeof(out)),
			 -EMSGSIZE);
	text[sizeof(text) - 7] = '\0'; /* payload: 6 bytes of field head and the string */
	assert_int_equal(round_trip(&wire_sentence_message, &sentence, &back, out, sizeof(out)), 0);
	assert_int_equal(wire_pack(WIRE_WARNING, 0, &wire_sentence_message, &sentence, out, 64),
			 -EMSGSIZE);
}

static void unknown_tags_are_skipped(void **state)
{
	uint8_t data[] = {0xff, 0x7f, 2, 0, 0, 0, 'z', 'z', 1, 0, 4, 0, 0, 0, 9, 0, 0, 0};
	struct wire_signal signal;

	assert_int_equal(wire_unpack(&wire_signal_message, data, sizeof(data), &signal), 0);
	assert_int_equal(signal.signal, 9);
}

static void broken_payloads_are_refused(void **state)
{
	static const struct {
		const char *what;
		uint8_t data[16];
		size_t length;
	} cases[] = {
		{"a required field is absent", {0}, 0},
		{"a head is cut", {1, 0, 4, 0, 0}, 5},
		{"a value is cut", {1, 0, 4, 0, 0, 0, 1, 2}, 8},
		{"a number has three bytes", {1, 0, 3, 0, 0, 0, 1, 2, 3}, 9},
		{"a length is past everything", {1, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 10},
	};
	struct wire_signal signal;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (wire_unpack(&wire_signal_message, cases[i].data, cases[i].length, &signal) !=
		    -EBADMSG)
			fail_msg("taken although %s", cases[i].what);
	}
}

static void strings_end_with_their_only_nul(void **state)
{
	static const uint8_t unended[] = {1, 0, 2, 0, 0, 0, 'a', 'b'};
	static const uint8_t inner[] = {1, 0, 4, 0, 0, 0, 'a', 0, 'b', 0};
	static const uint8_t empty[] = {1, 0, 0, 0, 0, 0};
	struct wire_sentence sentence;

	assert_int_equal(wire_unpack(&wire_sentence_message, unended, sizeof(unended), &sentence),
			 -EBADMSG);
	assert_int_equal(wire_unpack(&wire_sentence_message, inner, sizeof(inner), &sentence),
			 -EBADMSG);
	assert_int_equal(wire_unpack(&wire_sentence_message, empty, sizeof(empty), &sentence),
			 -EBADMSG);
}

static void port_lists_survive_the_round_trip(void **state)
{
	static uint8_t out[4096];
	struct wire_net_ready ready = {.host_ports = {80, 65535}, .host_port_count = 2}, back;

	assert_int_equal(round_trip(&wire_net_ready_message, &ready, &back, out, sizeof(out)), 0);
	assert_int_equal(back.host_port_count, 2);
	assert_int_equal(back.host_ports[1], 65535);
}

static void a_copy_survives_the_round_trip(void **state)
{
	static uint8_t out[4096];
	struct wire_open open = {.session = 7,
				 .kind = WIRE_KIND_GET,
				 .path = "/a\xff",
				 .entry_only = 1};
	struct wire_open back;

	assert_int_equal(round_trip(&wire_open_message, &open, &back, out, sizeof(out)), 0);
	assert_int_equal(back.kind, WIRE_KIND_GET);
	assert_string_equal(back.path, "/a\xff");
	assert_int_equal(back.entry_only, 1);
	assert_null(back.process.argv[0]);
}

static void nested_figures_survive_the_round_trip(void **state)
{
	static uint8_t out[4096];
	struct wire_machine_stats back, stats = {.realtime_ns = 1,
						 .guest.cpu_us = 2,
						 .net.refused_flows = 3,
						 .disk_bytes = 4};

	assert_int_equal(round_trip(&wire_machine_stats_message, &stats, &back, out, sizeof(out)),
			 0);
	assert_memory_equal(&back, &stats, sizeof(stats));
}

static void signals_have_the_guests_numbers(void **state)
{
	assert_int_equal(wire_signal_parse("SIGTERM"), 15);
	assert_int_equal(wire_signal_parse("USR1"), 10);
	assert_int_equal(wire_signal_parse("64"), 64);
	assert_int_equal(wire_signal_parse("65"), -EINVAL);
	assert_int_equal(wire_signal_parse("0"), -EINVAL);
	assert_int_equal(wire_signal_parse("9x"), -EINVAL);
	assert_int_equal(wire_signal_parse("sigterm"), -EINVAL);
	assert_int_equal(wire_signal_parse(""), -EINVAL);
	assert_string_equal(wire_signal_name(31), "SIGSYS");
	assert_null(wire_signal_name(32));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_read_whole_or_not_at_all),
		cmocka_unit_test(an_impossible_length_is_refused_at_once),
		cmocka_unit_test(a_configuration_survives_the_round_trip),
		cmocka_unit_test(every_vector_is_full_at_its_limit_and_refused_past_it),
		cmocka_unit_test(too_large_a_message_is_refused_when_written),
		cmocka_unit_test(unknown_tags_are_skipped),
		cmocka_unit_test(broken_payloads_are_refused),
		cmocka_unit_test(strings_end_with_their_only_nul),
		cmocka_unit_test(port_lists_survive_the_round_trip),
		cmocka_unit_test(a_copy_survives_the_round_trip),
		cmocka_unit_test(nested_figures_survive_the_round_trip),
		cmocka_unit_test(signals_have_the_guests_numbers),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
