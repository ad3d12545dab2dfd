/* SPDX-License-Identifier: Apache-2.0 */
/* vminit-fake, run for real: the workload, the ways to its end, sessions. */
#include "host.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOME_BYTES (300 * KIB) /* more than a window */

static struct wire_exited run_to_end(const struct wire_process *process, int *ret_status)
{
	struct wire_exited exited;
	struct host host;

	host_start(&host);
	host_configure(&host, process);
	exited = host_read_exited(&host);
	/* The reason lies in the frame. */
	exited.reason = exited.reason != NULL ? strdup(exited.reason) : NULL;
	*ret_status = host_finish(&host);
	return exited;
}

static void expect_failure(const struct wire_process *process, uint32_t code, const char *words)
{
	int status;
	struct wire_exited exited = run_to_end(process, &status);

	assert_int_equal(exited.code, code);
	assert_int_equal(status, code);
	assert_non_null(exited.reason);
	if (strstr(exited.reason, words) == NULL)
		fail_msg("'%s' does not say '%s'", exited.reason, words);
	free((char *)exited.reason);
}

/* ---- the workload ---- */

static void workload_exit_code_is_its_own(void **state)
{
	struct host host;

	(void)state;
	for (uint32_t code = 0; code <= 7; code += 7) {
		host_run(&host, code == 0 ? "exit 0" : "exit 7");
		assert_int_equal(host_read_exited(&host).code, code);
		assert_int_equal(host_finish(&host), (int)code);
	}
}

static void workload_killed_by_a_signal_has_code_128_and_more(void **state)
{
	struct wire_exited exited;
	struct host host;

	(void)state;
	host_run(&host, "kill -SEGV $$");
	exited = host_read_exited(&host);
	assert_int_equal(exited.code, 128 + SIGSEGV);
	assert_int_equal(exited.signal, SIGSEGV);
	host_finish(&host);
}

static void workload_not_found_is_127_and_says_so(void **state)
{
	(void)state;
	expect_failure(&(struct wire_process){.argv = {"no-such-program"}}, 127,
		       "no-such-program: not found in PATH");
	expect_failure(&(struct wire_process){.argv = {"/no/such/program"}}, 127,
		       "/no/such/program: not found");
}

static void workload_not_executable_is_126_and_says_so(void **state)
{
	(void)state;
	expect_failure(&(struct wire_process){.argv = {"/etc/passwd"}}, 126, "permission denied");
	expect_failure(&(struct wire_process){.argv = {"/etc"}}, 126, "/etc is a directory");
}

static void workload_that_cannot_be_set_up_is_125_and_says_why(void **state)
{
	(void)state;
	expect_failure(&(struct wire_process){.argv = {"true"}, .workdir = "/no/such"}, 125,
		       "cannot enter the directory /no/such: No such file");
	expect_failure(&(struct wire_process){.argv = {"true"}, .user = "nobody-here"}, 125,
		       "user nobody-here is not in /etc/passwd");
}

static void workload_gets_arguments_environment_and_directory(void **state)
{
	struct wire_process process = {
		.argv = {"sh", "-c", "echo \"$1|$VALUE|$PATH|$(pwd)\"", "sh", "a b\nc"},
		.env = {"VALUE=\xff ='\"", NULL},
		.workdir = "/usr",
	};
	struct host host;
	char output[256];

	(void)state;
	host_start(&host);
	host_configure(&host, &process);
	host_read_output(&host, output, sizeof(output), NULL);
	assert_string_equal(output, "a b\nc|\xff ='\"|/usr/local/sbin:/usr/local/bin:/usr/sbin:"
				    "/usr/bin:/sbin:/bin|/usr\n");
	host_finish(&host);
}

static void workload_has_no_blocked_signals_and_no_stray_descriptors(void **state)
{
	struct host host;
	char output[256];

	(void)state;
	/* 32 and 33 are the C library's own: whoever started this test may have left them ignored. */
	host_run(&host, "of() { echo $((0x$(grep ^Sig$1 /proc/self/status | cut -f2) & "
			"~0x180000000)); }; of Blk; of Ign; ls /proc/self/fd | wc -l");
	host_read_output(&host, output, sizeof(output), NULL);
	/* The fourth is ls's own. */
	assert_string_equal(output, "0\n0\n4\n");
	host_finish(&host);
}

static void workload_output_of_ten_megabytes_arrives_whole_before_exited(void **state)
{
	struct host host;
	char output[16];
	size_t total;

	(void)state;
	host_run(&host, "head -c 10000000 /dev/zero | tr '\\0' x");
	host_read_output(&host, output, sizeof(output), &total);
	assert_int_equal(total, 10000000);
	assert_string_equal(output, "xxxxxxxxxxxxxxx");
	host_finish(&host);
}

static void workload_on_a_terminal_sees_its_size(void **state)
{
	struct wire_process process = {
		.argv = {"sh", "-c", "test -t 0 && test -t 1 && stty size && echo $TERM"},
		.tty = 1,
		.rows = 31,
		.columns = 99,
	};
	struct host host;
	char output[256];

	(void)state;
	host_start(&host);
	host_configure(&host, &process);
	assert_int_equal(host_read_output(&host, output, sizeof(output), NULL).code, 0);
	assert_string_equal(output, "31 99\r\nxterm\r\n");
	host_finish(&host);
}

static void signal_reaches_the_whole_process_group(void **state)
{
	struct wire_signal signal = {.signal = SIGUSR1};
	struct wire_frame frame;
	struct host host;
	char output[64];

	(void)state;
	host_run(&host, "trap 'echo outer' USR1; (trap 'echo inner; exit' USR1; echo up;"
			" while :; do sleep 0.01; done) & wait; wait");
	peer_expect(&host.control, WIRE_OUTPUT, &frame);
	peer_send(&host.control, WIRE_SIGNAL, 0, &wire_signal_message, &signal);
	host_read_output(&host, output, sizeof(output), NULL);
	assert_non_null(strstr(output, "outer\n"));
	assert_non_null(strstr(output, "inner\n"));
	host_finish(&host);
}

/* ---- the end ---- */

static void shutdown_lets_the_workload_end_itself(void **state)
{
	struct wire_frame frame;
	struct host host;
	char output[64];

	(void)state;
	host_run(&host, "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done");
	peer_expect(&host.control, WIRE_OUTPUT, &frame);
	host_shutdown(&host, SIGTERM, 15000);
	assert_int_equal(host_read_output(&host, output, sizeof(output), NULL).code, 3);
	assert_string_equal(output, "bye\n");
	host_finish(&host);
}

static void shutdown_kills_what_ignores_the_stop_signal(void **state)
{
	struct wire_exited exited;
	struct wire_frame frame;
	struct host host;

	(void)state;
	host_run(&host, "trap '' TERM; echo up; while :; do sleep 1; done");
	peer_expect(&host.control, WIRE_OUTPUT, &frame);
	host_shutdown(&host, SIGTERM, 50);
	exited = host_read_exited(&host);
	assert_int_equal(exited.code, 137);
	assert_int_equal(exited.signal, SIGKILL);
	host_finish(&host);
}

static void shutdown_without_timeout_kills_at_once(void **state)
{
	struct host host;

	(void)state;
	host_run(&host, "trap '' TERM; while :; do sleep 1; done");
	host_shutdown(&host, SIGTERM, 0);
	assert_int_equal(host_read_exited(&host).code, 137);
	host_finish(&host);
}

static void second_shutdown_can_only_make_it_sooner(void **state)
{
	struct wire_frame frame;
	struct host host;

	(void)state;
	host_run(&host, "trap '' TERM; echo up; while :; do sleep 1; done");
	peer_expect(&host.control, WIRE_OUTPUT, &frame);
	host_shutdown(&host, SIGTERM, 3600000);
	host_shutdown(&host, SIGTERM, 50);
	host_shutdown(&host, SIGTERM, 3600000);
	assert_int_equal(host_read_exited(&host).code, 137);
	host_finish(&host);
}

static void shutdown_before_configuration_is_honoured(void **state)
{
	struct host host;

	(void)state;
	host_start(&host);
	host_shutdown(&host, SIGTERM, 1000);
	assert_int_equal(host_read_exited(&host).code, 128 + SIGTERM);
	host_finish(&host);
}

static pid_t read_pid(struct host *host)
{
	struct wire_frame frame;
	char text[32] = "";

	peer_expect(&host->control, WIRE_OUTPUT, &frame);
	assert_in_range(frame.length, 9, 8 + sizeof(text) - 1);
	memcpy(text, frame.payload + 8, frame.length - 8);
	return (pid_t)strtol(text, NULL, 10);
}

static void orphans_end_with_the_workload(void **state)
{
	struct host host;
	pid_t orphan;

	(void)state;
	host_run(&host,
		 "(setsid sh -c 'trap \"\" TERM HUP; echo $$; sleep 1000' &) ; read x < /dev/zero");
	orphan = read_pid(&host);
	assert_int_equal(kill(orphan, 0), 0);
	host_shutdown(&host, SIGKILL, 5000);
	host_read_exited(&host);
	assert_int_equal(kill(orphan, 0), -1); /* EXITED comes after everything is reaped */
	host_finish(&host);
}

static void host_that_goes_away_ends_the_workload(void **state)
{
	struct host host;
	pid_t pid;

	(void)state;
	host_run(&host, "echo $$; exec sleep 1000");
	pid = read_pid(&host);
	peer_close(&host.control);
	host_wait_gone(pid);
	host.control.fd = open("/dev/null", 0);
	assert_int_equal(host_finish(&host), 128 + SIGTERM);
}

static void killing_the_fake_kills_all_that_it_started(void **state)
{
	struct host host;
	pid_t pid;

	(void)state;
	host_run(&host, "setsid sh -c 'echo $$; exec sleep 1000' & wait");
	pid = read_pid(&host);
	kill(host.pid, SIGKILL);
	host_wait_gone(pid);
	assert_int_equal(host_finish(&host), -1);
}

static void other_protocol_version_is_refused_with_a_sentence(void **state)
{
	struct wire_hello hello = {.version = WIRE_VERSION + 1, .role = WIRE_ROLE_VMM};
	struct wire_exited exited;
	struct host host;

	(void)state;
	host_start(&host);
	peer_send(&host.control, WIRE_HELLO, 0, &wire_hello_message, &hello);
	exited = host_read_exited(&host);
	assert_int_equal(exited.code, 125);
	assert_non_null(strstr(exited.reason, "version 2"));
	host_finish(&host);
}

static void frame_of_impossible_length_ends_the_machine(void **state)
{
	struct host host;

	(void)state;
	host_run(&host, "exec sleep 1000");
	assert_int_equal(write(host.control.fd, "\xff\xff\xff\xff", 4), 4);
	assert_int_equal(host_finish(&host), 128 + SIGTERM);
}

/* ---- sessions ---- */

static void session_returns_output_and_exit_code(void **state)
{
	struct peer session;
	struct host host;
	char output[64];

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open_shell(&host, 5, "echo hello; exit 7", &session);
	assert_int_equal(session_read(&session, output, sizeof(output), NULL).code, 7);
	assert_string_equal(output, "hello\n");
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

/* Credit and the end of input are in OPEN; EXIT says that the outputs have ended. */
static void session_follows_another_on_its_connection(void **state)
{
	struct wire_open open = {
		.session = 5,
		.output_credit = LIMIT_WINDOW_BYTES,
		.input_ended = 1,
		.process = {.argv = {"sh", "-c", "cat; echo first; exit 3"}},
	};
	struct wire_exited exited;
	struct wire_frame frame;
	struct peer session;
	struct host host;

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open(&host, &open, &session);
	for (uint32_t i = 0; i < 3; i++) {
		peer_expect(&session, WIRE_STDOUT, &frame);
		assert_memory_equal(frame.payload, "first\n", 6);
		peer_expect(&session, WIRE_EXIT, &frame);
		wire_unpack(&wire_exited_message, frame.payload, frame.length, &exited);
		assert_int_equal(exited.code, 3);
		/* What was still under way for the last one is none of the next one's. */
		peer_send_data(&session, WIRE_HANGUP, 0, "", 0);
		open.session++;
		host_open_again(&session, &open);
	}
	peer_close(&session);
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

/* HELLO does not wait for the command to say something. */
static void session_on_a_known_connection_says_hello_and_can_be_hung_up(void **state)
{
	struct wire_open open = {
		.session = 5,
		.output_credit = LIMIT_WINDOW_BYTES,
		.input_ended = 1,
		.process = {.argv = {"true"}},
	};
	struct wire_exited exited;
	struct wire_frame frame;
	struct peer session;
	struct host host;

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open(&host, &open, &session);
	peer_expect(&session, WIRE_EXIT, &frame);
	open.session = 6;
	open.process.argv[0] = "sleep";
	open.process.argv[1] = "1000";
	host_open_again(&session, &open);
	peer_send_data(&session, WIRE_HANGUP, 0, "", 0);
	peer_expect(&session, WIRE_EXIT, &frame);
	wire_unpack(&wire_exited_message, frame.payload, frame.length, &exited);
	assert_int_equal(exited.signal, SIGHUP);
	open.session = 7;
	open.process.argv[0] = "/no/such";
	host_open_again(&session, &open);
	assert_int_equal(session_read_fail(&session, (char[64]){""}, 64), 127);
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

/* What is no request ends the connection, and nothing else. */
static void session_request_that_cannot_be_read_ends_its_connection(void **state)
{
	struct wire_open open = {.session = 5, .input_ended = 1, .process = {.argv = {"true"}}};
	struct wire_frame frame;
	struct peer session;
	struct host host;
	char output[16];

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open(&host, &open, &session);
	peer_expect(&session, WIRE_EXIT, &frame);
	peer_send_data(&session, WIRE_OPEN, 0, "x", 1);
	assert_false(peer_next(&session, &frame));
	peer_close(&session);
	host_open_shell(&host, 6, "echo x", &session);
	assert_int_equal(session_read(&session, output, sizeof(output), NULL).code, 0);
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

static void session_stdin_makes_a_round_trip(void **state)
{
	struct wire_frame frame;
	struct peer session;
	struct host host;
	char output[64];

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open_shell(&host, 1, "cat; echo end", &session);
	peer_expect(&session, WIRE_CREDIT, &frame);
	assert_int_equal(frame.stream, WIRE_STREAM_STDIN);
	peer_send_data(&session, WIRE_STDIN, 0, "ping\n", 5);
	peer_send_data(&session, WIRE_END, WIRE_STREAM_STDIN, "", 0);
	assert_int_equal(session_read(&session, output, sizeof(output), NULL).code, 0);
	assert_string_equal(output, "ping\nend\n");
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

/* 300 KB each way: neither side ever has more under way than it was allowed. */
static void session_data_flows_within_credit(void **state)
{
	size_t sent = 0, may_send = 0, received = 0, may_receive = 0;
	static uint8_t data[32 * KIB];
	struct wire_exited exited;
	struct wire_frame frame;
	struct peer session;
	struct host host;

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open_shell(&host, 1, "cat", &session);
	do {
		struct wire_credit credit;

		if (sent < SOME_BYTES && may_send >= sizeof(data)) {
			size_t length =
				SOME_BYTES - sent < sizeof(data) ? SOME_BYTES - sent : sizeof(data);

			memset(data, 'a' + (int)(sent / sizeof(data)), length);
			peer_send_data(&session, WIRE_STDIN, 0, data, length);
			sent += length;
			may_send -= length;
			if (sent == SOME_BYTES)
				peer_send_data(&session, WIRE_END, WIRE_STREAM_STDIN, "", 0);
			continue;
		}
		/* A miser: a little at a time, when there is none left. */
		if (may_receive == 0 && received < SOME_BYTES && sent > 0) {
			may_receive = 10000;
			peer_credit(&session, WIRE_STREAM_STDOUT, 10000);
		}
		assert_true(peer_next(&session, &frame));
		if (frame.type == WIRE_CREDIT) {
			wire_unpack(&wire_credit_message, frame.payload, frame.length, &credit);
			may_send += credit.bytes;
			assert_true(may_send <= LIMIT_WINDOW_BYTES);
		}
		if (frame.type == WIRE_STDOUT) {
			assert_true(frame.length <= may_receive);
			for (size_t i = 0; i < frame.length; i++)
				assert_int_equal(frame.payload[i],
						 'a' + (int)((received + i) / sizeof(data)));
			may_receive -= frame.length;
			received += frame.length;
		}
	} while (frame.type != WIRE_EXIT);
	wire_unpack(&wire_exited_message, frame.payload, frame.length, &exited);
	assert_int_equal(exited.code, 0);
	assert_int_equal(received, SOME_BYTES);
	peer_close(&session);
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

static void session_without_credit_sends_nothing_and_keeps_all(void **state)
{
	struct wire_frame frame;
	struct peer session;
	struct host host;
	char output[64];

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open_shell(&host, 1, "echo kept", &session);
	/* The process has ended by now, which a second session proves: PID 1 is alive meanwhile. */
	struct peer other;
	host_open_shell(&host, 2, "exit 4", &other);
	assert_int_equal(session_read(&other, output, sizeof(output), NULL).code, 4);
	peer_expect(&session, WIRE_CREDIT, &frame);
	assert_int_equal(session_read(&session, output, sizeof(output), NULL).code, 0);
	assert_string_equal(output, "kept\n");
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

static void session_that_sends_more_than_its_credit_is_hung_up(void **state)
{
	static uint8_t data[LIMIT_PAYLOAD_BYTES];
	struct wire_frame frame;
	struct peer session;
	struct host host;
	struct wire_exited exited;

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open_shell(&host, 1, "exec sleep 1000", &session);
	/* A window, the 64 KiB that a pipe takes, and more. */
	for (int i = 0; i < 6; i++)
		peer_send_data(&session, WIRE_STDIN, 0, data, sizeof(data));
	peer_expect(&session, WIRE_EXIT, &frame);
	wire_unpack(&wire_exited_message, frame.payload, frame.length, &exited);
	assert_int_equal(exited.signal, SIGHUP);
	peer_close(&session);
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

static void session_hangup_ends_its_process(void **state)
{
	struct wire_exited exited;
	struct wire_frame frame;
	struct peer session;
	struct host host;

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open_shell(&host, 1, "yes", &session);
	peer_credit(&session, WIRE_STREAM_STDOUT, 1000);
	peer_expect(&session, WIRE_STDOUT, &frame);
	peer_send_data(&session, WIRE_HANGUP, 0, "", 0);
	peer_expect(&session, WIRE_EXIT, &frame);
	wire_unpack(&wire_exited_message, frame.payload, frame.length, &exited);
	assert_int_equal(exited.code, 128 + SIGHUP);
	peer_close(&session);
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

static void session_whose_connection_closes_ends_its_process(void **state)
{
	struct wire_frame frame;
	struct peer session;
	struct host host;
	char text[32] = "";
	pid_t pid;

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open_shell(&host, 1, "echo $$; exec sleep 1000", &session);
	peer_credit(&session, WIRE_STREAM_STDOUT, 1000);
	peer_expect(&session, WIRE_STDOUT, &frame);
	memcpy(text, frame.payload, frame.length);
	pid = (pid_t)strtol(text, NULL, 10);
	peer_close(&session);
	host_wait_gone(pid);
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

static void session_that_cannot_start_fails_with_a_sentence(void **state)
{
	struct wire_open open = {.session = 1, .process = {.argv = {"no-such-program"}}};
	struct peer session;
	struct host host;
	char text[256];

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open(&host, &open, &session);
	assert_int_equal(session_read_fail(&session, text, sizeof(text)), 127);
	assert_string_equal(text, "no-such-program: not found in PATH");
	open.process = (struct wire_process){.argv = {"true"}, .workdir = "/etc/passwd"};
	host_open(&host, &open, &session);
	assert_int_equal(session_read_fail(&session, text, sizeof(text)), 125);
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

static void session_on_a_terminal_echoes_resizes_and_ends(void **state)
{
	struct wire_open open = {
		.session = 1,
		.process = {.argv = {"sh", "-c", "read x; stty size; read y; echo \"<$x>\"; cat"},
			    .tty = 1,
			    .rows = 10,
			    .columns = 20},
	};
	struct wire_resize size = {.rows = 40, .columns = 120};
	struct wire_frame frame;
	struct peer session;
	struct host host;
	char output[256];

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open(&host, &open, &session);
	peer_expect(&session, WIRE_CREDIT, &frame);
	peer_send(&session, WIRE_RESIZE, 0, &wire_resize_message, &size);
	peer_send_data(&session, WIRE_STDIN, 0, "one\ntwo\n", 8);
	peer_send_data(&session, WIRE_END, WIRE_STREAM_STDIN, "", 0);
	assert_int_equal(session_read(&session, output, sizeof(output), NULL).code, 0);
	assert_non_null(strstr(output, "40 120\r\n"));
	assert_non_null(strstr(output, "<one>\r\n"));
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

/* Its input has ended and it has closed its terminal: that is no reason to hang up on it. */
static void a_process_may_close_its_terminal_before_it_ends(void **state)
{
	static const char script[] = "cat; exec <&- >&- 2>&-; sleep 0.2; exit 3";
	struct wire_open open = {
		.session = 1,
		.process = {.argv = {"sh", "-c", script}, .tty = 1},
	};
	struct wire_frame frame;
	struct peer session;
	struct host host;
	char output[64];

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open(&host, &open, &session);
	peer_expect(&session, WIRE_CREDIT, &frame);
	peer_send_data(&session, WIRE_END, WIRE_STREAM_STDIN, "", 0);
	assert_int_equal(session_read(&session, output, sizeof(output), NULL).code, 3);
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

/* A daemon left by an exec holds its output pipe: the exec is over all the same. */
static void session_ends_though_another_process_holds_its_output(void **state)
{
	struct peer session;
	struct host host;
	char output[64];

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open_shell(&host, 1, "sleep 1000 & echo started", &session);
	assert_int_equal(session_read(&session, output, sizeof(output), NULL).code, 0);
	assert_string_equal(output, "started\n");
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

static void sessions_end_at_shutdown_and_say_so(void **state)
{
	struct wire_exited exited;
	struct wire_frame frame;
	struct peer session;
	struct host host;

	(void)state;
	host_run(&host, "exec sleep 1000");
	host_open_shell(&host, 1, "trap '' TERM HUP; sleep 1000; sleep 1000", &session);
	host_shutdown(&host, SIGTERM, 10000);
	peer_expect(&session, WIRE_EXIT, &frame);
	wire_unpack(&wire_exited_message, frame.payload, frame.length, &exited);
	assert_int_equal(exited.code, 137);
	assert_int_equal(host_read_exited(&host).code, 128 + SIGTERM);
	peer_close(&session);
	host_finish(&host);
}

static void session_beyond_the_limit_is_refused_and_nothing_else_suffers(void **state)
{
	static struct peer sessions[LIMIT_SESSIONS];
	struct wire_open open = {.session = 1000, .process = {.argv = {"true"}}};
	struct wire_frame frame;
	struct host host;
	char output[64];

	(void)state;
	host_run(&host, "exec sleep 1000");
	for (uint32_t i = 0; i < LIMIT_SESSIONS; i++)
		host_open_shell(&host, i, "read x; echo $x", &sessions[i]);
	peer_send(&host.control, WIRE_OPEN, 0, &wire_open_message, &open);
	peer_expect(&host.control, WIRE_WARNING, &frame);
	for (uint32_t i = 0; i < LIMIT_SESSIONS; i++) {
		peer_expect(&sessions[i], WIRE_CREDIT, &frame);
		peer_send_data(&sessions[i], WIRE_STDIN, 0, "fine\n", 5);
		session_read(&sessions[i], output, sizeof(output), NULL);
		assert_string_equal(output, "fine\n");
	}
	host_shutdown(&host, SIGKILL, 1000);
	host_finish(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workload_exit_code_is_its_own),
		cmocka_unit_test(workload_killed_by_a_signal_has_code_128_and_more),
		cmocka_unit_test(workload_not_found_is_127_and_says_so),
		cmocka_unit_test(workload_not_executable_is_126_and_says_so),
		cmocka_unit_test(workload_that_cannot_be_set_up_is_125_and_says_why),
		cmocka_unit_test(workload_gets_arguments_environment_and_directory),
		cmocka_unit_test(workload_has_no_blocked_signals_and_no_stray_descriptors),
		cmocka_unit_test(workload_output_of_ten_megabytes_arrives_whole_before_exited),
		cmocka_unit_test(workload_on_a_terminal_sees_its_size),
		cmocka_unit_test(signal_reaches_the_whole_process_group),
		cmocka_unit_test(shutdown_lets_the_workload_end_itself),
		cmocka_unit_test(shutdown_kills_what_ignores_the_stop_signal),
		cmocka_unit_test(shutdown_without_timeout_kills_at_once),
		cmocka_unit_test(second_shutdown_can_only_make_it_sooner),
		cmocka_unit_test(shutdown_before_configuration_is_honoured),
		cmocka_unit_test(orphans_end_with_the_workload),
		cmocka_unit_test(host_that_goes_away_ends_the_workload),
		cmocka_unit_test(killing_the_fake_kills_all_that_it_started),
		cmocka_unit_test(other_protocol_version_is_refused_with_a_sentence),
		cmocka_unit_test(frame_of_impossible_length_ends_the_machine),
		cmocka_unit_test(session_returns_output_and_exit_code),
		cmocka_unit_test(session_follows_another_on_its_connection),
		cmocka_unit_test(session_on_a_known_connection_says_hello_and_can_be_hung_up),
		cmocka_unit_test(session_request_that_cannot_be_read_ends_its_connection),
		cmocka_unit_test(session_stdin_makes_a_round_trip),
		cmocka_unit_test(session_data_flows_within_credit),
		cmocka_unit_test(session_without_credit_sends_nothing_and_keeps_all),
		cmocka_unit_test(session_that_sends_more_than_its_credit_is_hung_up),
		cmocka_unit_test(session_hangup_ends_its_process),
		cmocka_unit_test(session_whose_connection_closes_ends_its_process),
		cmocka_unit_test(session_that_cannot_start_fails_with_a_sentence),
		cmocka_unit_test(session_on_a_terminal_echoes_resizes_and_ends),
		cmocka_unit_test(a_process_may_close_its_terminal_before_it_ends),
		cmocka_unit_test(session_ends_though_another_process_holds_its_output),
		cmocka_unit_test(sessions_end_at_shutdown_and_say_so),
		cmocka_unit_test(session_beyond_the_limit_is_refused_and_nothing_else_suffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
