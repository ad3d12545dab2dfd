/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts: tails, outcomes, relays, links, the kernel's ELF head, plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "kernel.h"
#include "link.h"
#include "outcome.h"
#include "relay.h"

#define EXITED(code)     ((code) << 8)
#define SIGNALLED(signo) (signo)

/* Tails. */

static void assert_tail(const char *text, unsigned lines, const char *expected)
{
	struct tail tail = {0};
	_cleanup_buf_ struct buf out;

	tail_add(&tail, text, strlen(text));
	buf_init(&out, 4096);
	assert_int_equal(tail_write(&tail, lines, &out), expected[0] != '\0');
	assert_string_equal(out.data != NULL ? out.data : "", expected);
}

static void a_tail_keeps_the_last_lines_that_say_something(void **state)
{
	assert_tail("", 3, "");
	assert_tail("one", 3, "one");
	assert_tail("one\r\ntwo\r\n\r\n  \nthree\n", 2, "two | three");
	assert_tail("one\ntwo\nthree", 1, "three");
	assert_tail("a\x1b[31mb\n", 1, "a[31mb");
}

static void a_tail_forgets_what_is_old(void **state)
{
	struct tail tail = {0};
	_cleanup_buf_ struct buf out;

	buf_init(&out, 4096);
	for (int i = 0; i < 10000; i++) {
		char line[16];

		snprintf(line, sizeof(line), "line %d\n", i);
		tail_add(&tail, line, strlen(line));
		assert_true(tail.length <= TAIL_BYTES);
	}
	assert_true(tail_contains(&tail, "line 9999"));
	assert_false(tail_contains(&tail, "line 1\n"));
	assert_true(tail_write(&tail, 2, &out));
	assert_string_equal(out.data, "line 9998 | line 9999");
}

/* Outcomes. */

static struct machine_record record;

static enum machine_state decide(struct outcome outcome, const char *console, const char *messages)
{
	static struct tail console_tail, messages_tail;

	console_tail.length = messages_tail.length = 0;
	tail_add(&console_tail, console, strlen(console));
	tail_add(&messages_tail, messages, strlen(messages));
	outcome.console = &console_tail;
	outcome.messages = &messages_tail;
	machine_record_done(&record);
	return outcome_decide(&outcome, &record);
}

static void an_ordinary_end_has_a_code_and_no_reason(void **state)
{
	assert_int_equal(decide((struct outcome){.backend = &backend_qemu,
						 .ready = true,
						 .exited = true,
						 .exit = {.code = 7}},
				"noise\n", ""),
			 MACHINE_STATE_STOPPED);
	assert_null(record.reason);
	assert_true(record.has_exit);
	assert_int_equal(record.exit.code, 7);
	assert_false(record.exit.requested);
}

static void an_end_without_a_report_names_the_console(void **state)
{
	assert_int_equal(decide((struct outcome){.backend = &backend_libkrun, .status = EXITED(0)},
				"\r\nKernel panic - not syncing\r\n", ""),
			 MACHINE_STATE_FAILED);
	assert_string_equal(record.reason, "the guest ended without reporting how; the console's "
					   "last lines: Kernel panic - not syncing");
	assert_false(record.has_exit);
}

static void a_kvm_that_cannot_run_guests_is_named(void **state)
{
	assert_int_equal(decide((struct outcome){.backend = &backend_libkrun, .status = EXITED(1)},
				"", "[ERROR] Received KVM_EXIT_INTERNAL_ERROR\n"),
			 MACHINE_STATE_FAILED);
	assert_non_null(strstr(record.reason, "/dev/kvm does not run ordinary guests"));
}

static void the_vm_process_and_its_last_message_are_named(void **state)
{
	assert_int_equal(decide((struct outcome){.backend = &backend_qemu, .status = EXITED(1)}, "",
				"qemu: could not open disk\n"),
			 MACHINE_STATE_FAILED);
	assert_string_equal(record.reason, "QEMU ended with status 1: qemu: could not open disk");
	assert_int_equal(decide((struct outcome){.backend = &backend_libkrun,
						 .status = SIGNALLED(SIGABRT)},
				"", "thread panicked\n"),
			 MACHINE_STATE_FAILED);
	assert_non_null(strstr(record.reason, "signal 6"));
	assert_non_null(strstr(record.reason, "thread panicked"));
}

static void a_start_that_failed_keeps_the_guests_code_and_sentence(void **state)
{
	assert_int_equal(decide((struct outcome){.backend = &backend_qemu,
						 .exited = true,
						 .exit = {.code = 127},
						 .exit_reason = "/bin/x: not found"},
				"noise", ""),
			 MACHINE_STATE_FAILED);
	assert_string_equal(record.reason, "/bin/x: not found");
	assert_int_equal(record.exit.code, 127);
}

static void an_end_by_force_that_was_asked_for_is_a_stop(void **state)
{
	assert_int_equal(decide((struct outcome){.backend = &backend_qemu,
						 .asked = true,
						 .forced = true,
						 .status = SIGNALLED(SIGKILL),
						 .remark = "it did not stop"},
				"", ""),
			 MACHINE_STATE_STOPPED);
	assert_string_equal(record.reason, "it did not stop");
	assert_int_equal(record.exit.code, 137);
	assert_int_equal(record.exit.signal, 9);
	assert_true(record.exit.requested);
}

static void a_vm_process_that_somebody_kills_is_lost(void **state)
{
	struct outcome outcome = {.backend = &backend_qemu,
				  .ready = true,
				  .status = SIGNALLED(SIGKILL)};

	assert_int_equal(decide(outcome, "", ""), MACHINE_STATE_FAILED);
	/* Also while it was to stop, and while the guest was about to power off. */
	outcome.asked = true;
	assert_int_equal(decide(outcome, "", ""), MACHINE_STATE_FAILED);
	outcome.exited = true;
	assert_int_equal(decide(outcome, "", ""), MACHINE_STATE_FAILED);
	outcome.forced = true;
	assert_int_equal(decide(outcome, "", ""), MACHINE_STATE_STOPPED);
}

static void a_failure_stays_one_when_the_guest_ends_in_order(void **state)
{
	assert_int_equal(decide((struct outcome){.backend = &backend_qemu,
						 .failure = "network: krun-net ended",
						 .ready = true,
						 .exited = true,
						 .exit = {.code = 143, .signal = 15}},
				"", ""),
			 MACHINE_STATE_FAILED);
	assert_string_equal(record.reason, "network: krun-net ended");
	assert_int_equal(record.exit.code, 143);
}

/* Relays. */

static uint8_t bytes[WIRE_FRAME_BYTES_MAX];
static struct wire_frame frame;

static void make(enum wire_type type, uint8_t stream, const struct wire_message *message,
		 const void *from)
{
	long length = wire_pack(type, stream, message, from, bytes, sizeof(bytes));
	size_t used;

	assert_true(length > 0);
	assert_int_equal(wire_frame_parse(bytes, (size_t)length, &frame, &used), 0);
}

static void make_data(enum wire_type type, uint8_t stream, size_t length)
{
	size_t used;

	wire_frame_head(bytes, type, stream, length);
	assert_int_equal(wire_frame_parse(bytes, WIRE_HEAD_BYTES + length, &frame, &used), 0);
}

static void make_credit(uint8_t stream, uint32_t count)
{
	make(WIRE_CREDIT, stream, &wire_credit_message, &(struct wire_credit){.bytes = count});
}

static void data_passes_within_the_credit_of_its_stream(void **state)
{
	struct relay relay = {0};
	enum relay_verdict verdict;

	make_data(WIRE_STDOUT, WIRE_STREAM_STDOUT, 1);
	assert_int_equal(relay_down(&relay, &frame, &verdict), -EBADMSG);
	make_credit(WIRE_STREAM_STDOUT, 10);
	assert_int_equal(relay_up(&relay, &frame, &verdict), 0);
	make_data(WIRE_STDERR, WIRE_STREAM_STDERR, 1);
	assert_int_equal(relay_down(&relay, &frame, &verdict), -EBADMSG);
	make_data(WIRE_STDOUT, WIRE_STREAM_STDOUT, 10);
	assert_int_equal(relay_down(&relay, &frame, &verdict), 0);
	assert_int_equal(verdict, RELAY_PASS);
	make_data(WIRE_STDOUT, WIRE_STREAM_STDOUT, 1);
	assert_int_equal(relay_down(&relay, &frame, &verdict), -EBADMSG);
	make_credit(WIRE_STREAM_STDIN, 5);
	assert_int_equal(relay_down(&relay, &frame, &verdict), 0);
	make_data(WIRE_STDIN, WIRE_STREAM_STDIN, 6);
	assert_int_equal(relay_up(&relay, &frame, &verdict), -EBADMSG);
}

static void credit_is_never_more_than_a_window(void **state)
{
	struct relay relay = {0};
	enum relay_verdict verdict;

	make_credit(WIRE_STREAM_STDOUT, LIMIT_WINDOW_BYTES);
	assert_int_equal(relay_up(&relay, &frame, &verdict), 0);
	make_credit(WIRE_STREAM_STDOUT, 1);
	assert_int_equal(relay_up(&relay, &frame, &verdict), -EBADMSG);
	make_credit(WIRE_STREAM_STDERR, UINT32_MAX);
	assert_int_equal(relay_up(&relay, &frame, &verdict), -EBADMSG);
	make_credit(WIRE_STREAM_STDIN, LIMIT_WINDOW_BYTES + 1);
	assert_int_equal(relay_down(&relay, &frame, &verdict), -EBADMSG);
}

static void each_side_may_send_only_its_own_frames(void **state)
{
	static const enum wire_type down_only[] = {WIRE_STDOUT, WIRE_STDERR, WIRE_EXIT, WIRE_FAIL};
	static const enum wire_type up_only[] = {WIRE_STDIN, WIRE_RESIZE, WIRE_SIGNAL};
	enum relay_verdict verdict;

	for (size_t i = 0; i < ARRAY_SIZE(down_only); i++) {
		struct relay relay = {0};

		make_data(down_only[i], 0, 0);
		assert_int_equal(relay_up(&relay, &frame, &verdict), -EBADMSG);
	}
	for (size_t i = 0; i < ARRAY_SIZE(up_only); i++) {
		struct relay relay = {0};

		make_data(up_only[i], 0, 0);
		assert_int_equal(relay_down(&relay, &frame, &verdict), -EBADMSG);
	}
}

static void nothing_passes_after_the_end(void **state)
{
	struct relay relay = {0};
	enum relay_verdict verdict;

	make(WIRE_EXIT, 0, &wire_exited_message, &(struct wire_exited){.code = 3});
	assert_int_equal(relay_down(&relay, &frame, &verdict), 0);
	assert_int_equal(verdict, RELAY_PASS);
	assert_true(relay.ended);
	make_data(WIRE_STDIN, WIRE_STREAM_STDIN, 5);
	assert_int_equal(relay_up(&relay, &frame, &verdict), 0);
	assert_int_equal(verdict, RELAY_DROP);
}

/* Links. */

static struct {
	unsigned frames, closed;
	int error;
	size_t bytes;
} seen;

static int count_frame(struct link *link, const struct wire_frame *in)
{
	seen.frames++;
	seen.bytes += in->length;
	return in->type == WIRE_KILL ? -EBADMSG : 0;
}

static void count_closed(struct link *link, int error)
{
	seen.closed++;
	seen.error = error;
}

static const struct link_calls count_calls = {.frame = count_frame, .closed = count_closed};

static void open_link(struct loop *loop, struct link *link, int *ret_peer, size_t out_bytes_max)
{
	int pair[2];

	memset(&seen, 0, sizeof(seen));
	loop_init(loop);
	assert_int_equal(fd_socketpair(pair), 0);
	link_init(link, loop, &count_calls, NULL);
	assert_int_equal(link_open(link, pair[0], out_bytes_max), 0);
	*ret_peer = pair[1];
}

static void close_link(struct loop *loop, struct link *link, int peer)
{
	link_done(link);
	loop_done(loop);
	fd_close(peer);
}

static void turn(struct loop *loop)
{
	assert_int_equal(loop_turn(loop, clock_monotonic_ms() + 10000), 0);
}

static void a_link_delivers_frames_that_come_in_pieces(void **state)
{
	struct loop loop;
	struct link link;
	int peer;

	open_link(&loop, &link, &peer, 65536);
	wire_frame_head(bytes, WIRE_STDOUT, 1, 5);
	assert_int_equal(write(peer, bytes, 6), 6);
	turn(&loop);
	assert_int_equal(seen.frames, 0);
	assert_int_equal(write(peer, bytes + 6, 7), 7);
	turn(&loop);
	assert_int_equal(seen.frames, 1);
	assert_int_equal(seen.bytes, 5);
	assert_null(link.in.data);
	fd_close(peer);
	turn(&loop);
	assert_int_equal(seen.closed, 1);
	assert_int_equal(seen.error, 0);
	close_link(&loop, &link, -1);
}

static void a_link_closes_on_an_impossible_frame(void **state)
{
	struct loop loop;
	struct link link;
	int peer;

	open_link(&loop, &link, &peer, 65536);
	assert_int_equal(write(peer, "\0\0\0\0", 4), 4);
	turn(&loop);
	assert_int_equal(seen.closed, 1);
	assert_int_equal(seen.error, -EBADMSG);
	close_link(&loop, &link, peer);
}

static void a_paused_link_delivers_nothing_and_all_of_it_later(void **state)
{
	struct loop loop;
	struct link link;
	int peer;

	open_link(&loop, &link, &peer, 65536);
	wire_frame_head(bytes, WIRE_END, 0, 0);
	link_pause(&link, true);
	assert_int_equal(write(peer, bytes, 8), 8);
	assert_int_equal(loop_turn(&loop, clock_monotonic_ms()), 0);
	assert_int_equal(seen.frames, 0);
	link_pause(&link, false);
	turn(&loop);
	assert_int_equal(seen.frames, 1);
	close_link(&loop, &link, peer);
}

/* How much the peer can read now, as frames. */
static unsigned read_frames(int peer, size_t *ret_bytes)
{
	static uint8_t data[8 * MIB];
	size_t length = 0, at = 0, used;
	struct wire_frame in;
	unsigned frames = 0;
	ssize_t n;

	*ret_bytes = 0;
	assert_int_equal(fd_set_nonblock(peer, true), 0);
	while ((n = read(peer, data + length, sizeof(data) - length)) > 0)
		length += (size_t)n;
	while (wire_frame_parse(data + at, length - at, &in, &used) == 0) {
		at += used;
		frames++;
		*ret_bytes += in.length;
	}
	return frames;
}

static void data_that_waits_is_put_together(void **state)
{
	struct loop loop;
	struct link link;
	size_t sent = 0, received, more;
	unsigned frames;
	int peer;

	open_link(&loop, &link, &peer, 1 * MIB);
	while (link.out.length < 1000) {
		assert_int_equal(link_send_raw(&link, WIRE_STDOUT, 1, bytes, 1000), 0);
		sent += 1000;
	}
	for (int i = 0; i < 1000; i++, sent++)
		assert_int_equal(link_send_raw(&link, WIRE_STDOUT, 1, "x", 1), 0);
	/* A thousand frames of a byte would take nine times that. */
	assert_true(link.out.length < 1000 + 8 + 1000 + 1000);
	frames = read_frames(peer, &received);
	while (link.out.length > 0)
		turn(&loop);
	frames += read_frames(peer, &more);
	assert_true(frames > 0);
	close_link(&loop, &link, peer);
}

static void a_queue_that_is_full_says_so(void **state)
{
	struct loop loop;
	struct link link;
	int peer, r = 0;

	open_link(&loop, &link, &peer, 100000);
	for (int i = 0; i < 100 && r == 0; i++)
		r = link_send_raw(&link, WIRE_END, 0, bytes, 60000);
	assert_int_equal(r, -ENOBUFS);
	close_link(&loop, &link, peer);
}

static void a_finished_link_sends_the_rest_and_awaits_the_peers_end(void **state)
{
	struct loop loop;
	struct link link;
	char data[64];
	int peer;

	open_link(&loop, &link, &peer, 65536);
	assert_int_equal(link_send_raw(&link, WIRE_END, 0, NULL, 0), 0);
	link_finish(&link);
	assert_int_equal(link_send_raw(&link, WIRE_END, 0, NULL, 0), -ENOTCONN);
	/* What the peer still says is thrown away, and does not break its reading. */
	wire_frame_head(bytes, WIRE_KILL, 0, 0);
	assert_int_equal(write(peer, bytes, 8), 8);
	turn(&loop);
	assert_int_equal(seen.frames, 0);
	assert_int_equal(read(peer, data, sizeof(data)), 8);
	assert_int_equal(read(peer, data, sizeof(data)), 0);
	assert_int_equal(seen.closed, 0);
	fd_close(peer);
	turn(&loop);
	assert_int_equal(seen.closed, 1);
	close_link(&loop, &link, -1);
}

static void a_finished_link_does_not_wait_for_ever(void **state)
{
	struct loop loop;
	struct link link;
	int peer;

	open_link(&loop, &link, &peer, 65536);
	link_finish(&link);
	assert_true(link.linger_ms < INT64_MAX);
	link_expire(&link, link.linger_ms - 1);
	assert_int_equal(seen.closed, 0);
	link_expire(&link, link.linger_ms);
	assert_int_equal(seen.closed, 1);
	close_link(&loop, &link, peer);
}

/* The kernel. */

static const uint8_t note[24] = {4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0, 0, 0, 0, 1};

static void a_kernel_becomes_an_elf_file_with_its_pvh_note(void **state)
{
	uint8_t data[8192] = {0}, head[KERNEL_ELF_HEAD_BYTES];
	struct kernel_blob blob = {.data = data, .size = sizeof(data), .load_address = 0x1000000};

	memcpy(data + 4096 + 12, note, sizeof(note));
	assert_int_equal(kernel_make_elf_head(&blob, head), 0);
	assert_memory_equal(head,
			    "\x7f"
			    "ELF\2\1\1",
			    7);
	assert_int_equal(wire_get_u16(head + 18), 62);
	assert_int_equal(wire_get_u64(head + 24), 0x1000000);
	assert_int_equal(wire_get_u16(head + 56), 2);
	/* PT_LOAD: all of it, behind the head. */
	assert_int_equal(wire_get_u32(head + 64), 1);
	assert_int_equal(wire_get_u64(head + 64 + 8), KERNEL_ELF_HEAD_BYTES);
	assert_int_equal(wire_get_u64(head + 64 + 24), 0x1000000);
	assert_int_equal(wire_get_u64(head + 64 + 32), sizeof(data));
	/* PT_NOTE: where it was found. */
	assert_int_equal(wire_get_u32(head + 120), 4);
	assert_int_equal(wire_get_u64(head + 120 + 8), KERNEL_ELF_HEAD_BYTES + 4096 + 12);
	assert_int_equal(wire_get_u64(head + 120 + 32), sizeof(note));
}

static void a_kernel_without_exactly_one_note_is_refused(void **state)
{
	uint8_t data[8192] = {0}, head[KERNEL_ELF_HEAD_BYTES];
	struct kernel_blob blob = {.data = data, .size = sizeof(data)};

	assert_int_equal(kernel_make_elf_head(&blob, head), -EINVAL);
	memcpy(data + 8192 - 20, note, 20); /* cut off */
	assert_int_equal(kernel_make_elf_head(&blob, head), -EINVAL);
	memset(data, 0, sizeof(data));
	memcpy(data + 100, note, sizeof(note));
	memcpy(data + 5000, note, sizeof(note));
	assert_int_equal(kernel_make_elf_head(&blob, head), -EINVAL);
}

static void an_arm64_image_is_known_by_its_magic(void **state)
{
	uint8_t data[4096] = {0};
	struct kernel_blob blob = {.data = data, .size = sizeof(data)};

	assert_false(kernel_is_image(&blob));
	memcpy(data + 0x38, "ARMd", 4);
	assert_true(kernel_is_image(&blob));
	blob.size = 0x38;
	assert_false(kernel_is_image(&blob));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tail_keeps_the_last_lines_that_say_something),
		cmocka_unit_test(a_tail_forgets_what_is_old),
		cmocka_unit_test(an_ordinary_end_has_a_code_and_no_reason),
		cmocka_unit_test(an_end_without_a_report_names_the_console),
		cmocka_unit_test(a_kvm_that_cannot_run_guests_is_named),
		cmocka_unit_test(the_vm_process_and_its_last_message_are_named),
		cmocka_unit_test(a_start_that_failed_keeps_the_guests_code_and_sentence),
		cmocka_unit_test(an_end_by_force_that_was_asked_for_is_a_stop),
		cmocka_unit_test(a_vm_process_that_somebody_kills_is_lost),
		cmocka_unit_test(a_failure_stays_one_when_the_guest_ends_in_order),
		cmocka_unit_test(data_passes_within_the_credit_of_its_stream),
		cmocka_unit_test(credit_is_never_more_than_a_window),
		cmocka_unit_test(each_side_may_send_only_its_own_frames),
		cmocka_unit_test(nothing_passes_after_the_end),
		cmocka_unit_test(a_link_delivers_frames_that_come_in_pieces),
		cmocka_unit_test(a_link_closes_on_an_impossible_frame),
		cmocka_unit_test(a_paused_link_delivers_nothing_and_all_of_it_later),
		cmocka_unit_test(data_that_waits_is_put_together),
		cmocka_unit_test(a_queue_that_is_full_says_so),
		cmocka_unit_test(a_finished_link_sends_the_rest_and_awaits_the_peers_end),
		cmocka_unit_test(a_finished_link_does_not_wait_for_ever),
		cmocka_unit_test(a_kernel_becomes_an_elf_file_with_its_pvh_note),
		cmocka_unit_test(a_kernel_without_exactly_one_note_is_refused),
		cmocka_unit_test(an_arm64_image_is_known_by_its_magic),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
