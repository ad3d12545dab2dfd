/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a guest is told the time. This program is the guest, too: started by krun-vmm in place of
 * vminit it prints a line for each CLOCK.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "loop.h"
#include "rig.h"
#include "wall_clock.h"

#define TIMEOUT_MS 20000
#define CONTROL_FD 3
#define SLEEP      ((const char *const[]){"/bin/sleep", "1000", NULL})

/* The guest. */

static void say(enum wire_type type, const struct wire_message *message, const void *from)
{
	static uint8_t frame[WIRE_FRAME_BYTES_MAX];
	long length = wire_pack(type, 0, message, from, frame, sizeof(frame));

	if (length < 0 || fd_write_all(CONTROL_FD, frame, (size_t)length) < 0)
		exit(1);
}

static void print_clock(const struct wire_frame *frame)
{
	uint8_t output[WIRE_HEAD_BYTES + 64] = {0};
	struct wire_clock clock;
	int length;

	if (wire_unpack(&wire_clock_message, frame->payload, frame->length, &clock) < 0)
		exit(1);
	length = snprintf((char *)output + WIRE_HEAD_BYTES + 8, 40, "%lld\n",
			  (long long)clock.realtime_ns);
	wire_frame_head(output, WIRE_OUTPUT, WIRE_STREAM_STDOUT, (size_t)length + 8);
	if (fd_write_all(CONTROL_FD, output, WIRE_HEAD_BYTES + 8 + (size_t)length) < 0)
		exit(1);
}

static void take(const struct wire_frame *frame)
{
	struct wire_ready ready = {0};

	if (frame->type == WIRE_CONFIG)
		say(WIRE_READY, &wire_ready_message, &ready);
	else if (frame->type == WIRE_CLOCK)
		print_clock(frame);
}

static int be_guest(void)
{
	static uint8_t input[2 * WIRE_FRAME_BYTES_MAX];
	struct wire_hello hello = {.version = WIRE_VERSION, .role = WIRE_ROLE_GUEST};
	size_t taken = 0, used;
	struct wire_frame frame;
	ssize_t n;

	say(WIRE_HELLO, &wire_hello_message, &hello);
	while ((n = read(CONTROL_FD, input + taken, sizeof(input) - taken)) > 0) {
		taken += (size_t)n;
		while (wire_frame_parse(input, taken, &frame, &used) == 0) {
			take(&frame);
			taken -= used;
			memmove(input, input + used, taken);
		}
	}
	return 0;
}

/* The tests. */

static struct rig rig;
static struct rig_connection manager;
static struct machine_record record;

static int set_up(void **state)
{
	rig_make(&rig);
	rig_start(&rig, "", SLEEP);
	rig_connect(&rig, &manager, WIRE_ROLE_MANAGER);
	rig_await_state(&manager, MACHINE_STATE_RUNNING, &record);
	return 0;
}

static int tear_down(void **state)
{
	machine_record_done(&record);
	rig_close(&manager);
	rig_done(&rig);
	return 0;
}

static char process_state(pid_t pid)
{
	_cleanup_free_ char *path = mem_printf("/proc/%d/stat", (int)pid);
	_cleanup_buf_ struct buf text;
	const char *end;

	buf_init(&text, 4096);
	if (file_read(path, &text) < 0 || (end = strrchr(text.data, ')')) == NULL)
		return '?';
	return end[2];
}

static void stop_and_continue(pid_t pid)
{
	int64_t deadline_ms = clock_monotonic_ms() + TIMEOUT_MS;

	assert_int_equal(kill(pid, SIGSTOP), 0);
	while (process_state(pid) != 'T') {
		assert_true(clock_left_ms(deadline_ms) > 0);
		poll(NULL, 0, 2);
	}
	assert_int_equal(kill(pid, SIGCONT), 0);
}

/* The times that the guest has been told, newest last; waits until there are `count`. */
static long long await_times(int count)
{
	int64_t deadline_ms = clock_monotonic_ms() + TIMEOUT_MS;

	for (;;) {
		long long newest = 0;
		struct buf log;
		int lines = 0;

		rig_read_log(&rig, "stdout", &log);
		for (const char *at = log.data; *at != '\0'; at = strchr(at, '\n') + 1) {
			newest = atoll(at);
			lines++;
		}
		buf_done(&log);
		assert_true(lines <= count);
		if (lines == count)
			return newest;
		assert_true(clock_left_ms(deadline_ms) > 0);
		poll(NULL, 0, 5);
	}
}

static void a_vm_process_that_goes_on_is_told_the_time(void **state)
{
	for (int i = 1; i <= 3; i++) {
		long long before = clock_realtime_ns();

		stop_and_continue(record.vm.pid);
		assert_true(await_times(i) >= before);
	}
}

static void a_supervisor_that_goes_on_tells_the_time(void **state)
{
	long long before = clock_realtime_ns();

	stop_and_continue(rig.pid);
	assert_true(await_times(1) >= before);
}

/* Without the kernel's word. */

static void count_jump(void *owner)
{
	(*(int *)owner)++;
}

static void clocks_that_part_are_noticed(void **state)
{
	struct wall_clock wall;
	struct loop loop;
	int jumps = 0;

	loop_init(&loop);
	wall_clock_open(&wall, &loop, count_jump, &jumps);
	wall_clock_expire(&wall, INT64_MAX - 1);
	assert_int_equal(jumps, 0);
	wall.check_at_ms = 5000;
	wall.offset_ns += 1000000000;
	wall_clock_expire(&wall, 4999);
	assert_int_equal(jumps, 0);
	wall_clock_expire(&wall, 5000);
	assert_int_equal(jumps, 1);
	assert_true(wall.check_at_ms > 5000);
	wall_clock_expire(&wall, wall.check_at_ms);
	assert_int_equal(jumps, 1);
	wall_clock_close(&wall);
	loop_done(&loop);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(a_vm_process_that_goes_on_is_told_the_time),
		CASE(a_supervisor_that_goes_on_tells_the_time),
		cmocka_unit_test(clocks_that_part_are_noticed),
	};
	_cleanup_free_ char *self = NULL;

	if (argc > 1 && strcmp(argv[1], "--control-fd") == 0)
		return be_guest();
	signal(SIGPIPE, SIG_IGN);
	if (proc_self_path(&self) < 0 || setenv("VMINIT_FAKE", self, 1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
