/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine does from its configuration to its exit record, with the fake backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "machine/log_file.h"
#include "rig.h"
#include "wire/signal.h"

#define SH(script) ((const char *const[]){"/bin/sh", "-c", script, NULL})
#define SLEEP      ((const char *const[]){"/bin/sleep", "1000", NULL})

static struct rig rig;

static int set_up(void **state)
{
	rig_make(&rig);
	return 0;
}

static int tear_down(void **state)
{
	rig_done(&rig);
	return 0;
}

/* The supervisor has ended with status 0 and has left nothing but its directories. */
static void assert_gone(void)
{
	static const char *const sockets[] = {"r/ctl", "r/g", "r/s"};

	assert_int_equal(rig_wait(&rig), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
		_cleanup_free_ char *path = rig_path(&rig, sockets[i]);

		assert_int_equal(access(path, F_OK), -1);
	}
}

static void assert_process_ends(const struct proc_id *id)
{
	int64_t deadline_ms = clock_monotonic_ms() + 20000;

	assert_true(id->pid > 0);
	while (proc_is_running(id)) {
		assert_true(clock_left_ms(deadline_ms) > 0);
		poll(NULL, 0, 2);
	}
}

static void stop(struct rig_connection *manager, uint32_t timeout_ms)
{
	struct wire_shutdown shutdown = {.signal = WIRE_SIGTERM, .timeout_ms = timeout_ms};

	rig_send(manager, WIRE_STOP, 0, &wire_shutdown_message, &shutdown);
}

/* Starts and waits until it runs. */
static void run(struct rig_connection *manager, const char *extra, const char *const *exec,
		struct machine_record *record)
{
	rig_start(&rig, extra, exec);
	rig_connect(&rig, manager, WIRE_ROLE_MANAGER);
	rig_await_state(manager, MACHINE_STATE_RUNNING, record);
}

static void exec_session(const char *const *exec, struct wire_exited *ret_exited,
			 struct buf *output)
{
	struct wire_credit credit;
	struct rig_connection session;

	buf_init(output, 64 * MIB);
	rig_open(&rig, &session, exec);
	while (rig_next(&session) && session.frame.type != WIRE_EXIT) {
		if (session.frame.type != WIRE_STDOUT)
			continue;
		assert_int_equal(buf_append(output, session.frame.payload, session.frame.length),
				 0);
		credit.bytes = (uint32_t)session.frame.length;
		rig_send(&session, WIRE_CREDIT, WIRE_STREAM_STDOUT, &wire_credit_message, &credit);
	}
	assert_int_equal(session.frame.type, WIRE_EXIT);
	assert_int_equal(wire_unpack(&wire_exited_message, session.frame.payload,
				     session.frame.length, ret_exited),
			 0);
	rig_close(&session);
}

static void a_machine_runs_prints_and_stops_with_its_code(void **state)
{
	struct rig_connection manager;
	struct machine_record record;
	struct buf log;

	rig_start(&rig, "", SH("echo hello; echo oops >&2; printf rest; exit 7"));
	rig_connect(&rig, &manager, WIRE_ROLE_MANAGER);
	rig_await_state(&manager, MACHINE_STATE_STOPPED, &record);
	assert_int_equal(record.exit.code, 7);
	assert_false(record.exit.requested);
	assert_null(record.reason);
	assert_true(record.boot_ms.ready >= 0 && record.boot_ms.spawn >= 0);
	assert_true(record.finished_at >= record.ready_at && record.ready_at >= record.started_at);
	machine_record_done(&record);
	assert_false(rig_next(&manager));
	rig_close(&manager);
	assert_gone();
	rig_load_exit(&rig, &record);
	assert_int_equal(record.state, MACHINE_STATE_STOPPED);
	assert_int_equal(record.exit.code, 7);
	machine_record_done(&record);
	rig_read_log(&rig, "stdout", &log);
	assert_string_equal(log.data, "hello\nrest");
	buf_done(&log);
	rig_read_log(&rig, "stderr", &log);
	assert_string_equal(log.data, "oops\n");
	buf_done(&log);
}

static void a_signal_that_ends_the_workload_is_told(void **state)
{
	struct machine_record record;

	rig_start(&rig, "", SH("kill -USR1 $$"));
	assert_gone();
	rig_load_exit(&rig, &record);
	assert_int_equal(record.state, MACHINE_STATE_STOPPED);
	assert_int_equal(record.exit.signal, 10);
	assert_int_equal(record.exit.code, 138);
	machine_record_done(&record);
}

static void a_missing_program_fails_with_127_and_a_sentence(void **state)
{
	struct machine_record record;

	rig_start(&rig, "", (const char *const[]){"/no/such/program", NULL});
	assert_gone();
	rig_load_exit(&rig, &record);
	assert_int_equal(record.state, MACHINE_STATE_FAILED);
	assert_int_equal(record.exit.code, 127);
	assert_non_null(strstr(record.reason, "/no/such/program"));
	machine_record_done(&record);
}

static void a_stop_lets_the_workload_end_in_order(void **state)
{
	struct rig_connection manager;
	struct machine_record record;
	struct buf log;

	run(&manager, "", SH("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done"),
	    &record);
	machine_record_done(&record);
	stop(&manager, 10000);
	rig_await_state(&manager, MACHINE_STATE_STOPPED, &record);
	assert_true(record.exit.requested);
	assert_int_equal(record.exit.code, 3);
	assert_null(record.reason);
	machine_record_done(&record);
	rig_close(&manager);
	assert_gone();
	rig_read_log(&rig, "stdout", &log);
	assert_non_null(strstr(log.data, "bye\n"));
	buf_done(&log);
}

static void a_workload_that_ignores_the_signal_is_killed_by_the_guest(void **state)
{
	struct rig_connection manager;
	struct machine_record record;

	run(&manager, "", SH("trap '' TERM; while :; do sleep 0.01; done"), &record);
	machine_record_done(&record);
	stop(&manager, 100);
	rig_await_state(&manager, MACHINE_STATE_STOPPED, &record);
	assert_int_equal(record.exit.code, 137);
	assert_true(record.exit.requested);
	machine_record_done(&record);
	rig_close(&manager);
	assert_gone();
}

static void kill_ends_it_at_once(void **state)
{
	struct rig_connection manager;
	struct machine_record record;
	struct proc_id vm;

	run(&manager, "", SLEEP, &record);
	vm = record.vm;
	machine_record_done(&record);
	rig_send_data(&manager, WIRE_KILL, 0, NULL, 0);
	rig_await_state(&manager, MACHINE_STATE_STOPPED, &record);
	assert_int_equal(record.exit.code, 137);
	assert_true(record.exit.requested);
	machine_record_done(&record);
	rig_close(&manager);
	assert_gone();
	assert_process_ends(&vm);
}

static void a_killed_vm_process_is_a_failure_that_says_so(void **state)
{
	struct rig_connection manager;
	struct machine_record record;

	run(&manager, "", SLEEP, &record);
	assert_int_equal(proc_kill(&record.vm, SIGKILL), 0);
	machine_record_done(&record);
	rig_await_state(&manager, MACHINE_STATE_FAILED, &record);
	assert_non_null(strstr(record.reason, "signal 9"));
	machine_record_done(&record);
	rig_close(&manager);
	assert_gone();
}

static void a_killed_supervisor_takes_the_vm_process_with_it(void **state)
{
	struct rig_connection manager;
	struct machine_record record;
	_cleanup_free_ char *exit_file = rig_path(&rig, "m/" MACHINE_EXIT_FILE);

	run(&manager, "", SLEEP, &record);
	assert_int_equal(kill(rig.pid, SIGKILL), 0);
	assert_true(WIFSIGNALED(rig_wait(&rig)));
	assert_process_ends(&record.vm);
	assert_int_equal(access(exit_file, F_OK), -1);
	machine_record_done(&record);
	rig_close(&manager);
}

static void a_stop_before_it_is_ready_is_a_stop(void **state)
{
	struct rig_connection manager;
	struct machine_record record;

	rig_start(&rig, "", SLEEP);
	rig_connect(&rig, &manager, WIRE_ROLE_MANAGER);
	stop(&manager, 1000);
	rig_await_state(&manager, MACHINE_STATE_STOPPED, &record);
	assert_true(record.exit.requested);
	machine_record_done(&record);
	rig_close(&manager);
	assert_gone();
}

static void sigterm_to_the_supervisor_is_a_stop(void **state)
{
	struct rig_connection manager;
	struct machine_record record;

	run(&manager, "", SLEEP, &record);
	machine_record_done(&record);
	assert_int_equal(kill(rig.pid, SIGTERM), 0);
	rig_await_state(&manager, MACHINE_STATE_STOPPED, &record);
	assert_int_equal(record.exit.signal, 15);
	assert_int_equal(record.exit.code, 143);
	machine_record_done(&record);
	rig_close(&manager);
	assert_gone();
}

static void a_manager_that_goes_changes_nothing(void **state)
{
	struct rig_connection manager;
	struct machine_record record;

	run(&manager, "", SLEEP, &record);
	machine_record_done(&record);
	rig_close(&manager);
	/* As krun-api does after a restart. */
	rig_connect(&rig, &manager, WIRE_ROLE_MANAGER);
	rig_await_state(&manager, MACHINE_STATE_RUNNING, &record);
	machine_record_done(&record);
	stop(&manager, 1000);
	rig_await_state(&manager, MACHINE_STATE_STOPPED, &record);
	machine_record_done(&record);
	rig_close(&manager);
	assert_gone();
}

static void the_record_is_on_disk_while_it_runs(void **state)
{
	_cleanup_free_ char *directory = rig_path(&rig, "m");
	struct rig_connection manager;
	struct machine_record record, saved;
	int64_t deadline_ms = clock_monotonic_ms() + 20000;

	run(&manager, "", SLEEP, &record);
	do {
		machine_record_init(&saved);
		assert_int_equal(machine_record_load(&saved, directory, MACHINE_RECORD_FILE, NULL),
				 0);
		if (saved.state == MACHINE_STATE_RUNNING)
			break;
		machine_record_done(&saved);
		poll(NULL, 0, 2);
	} while (clock_left_ms(deadline_ms) > 0);
	assert_int_equal(saved.state, MACHINE_STATE_RUNNING);
	assert_int_equal(saved.vm.pid, record.vm.pid);
	assert_int_equal(saved.supervisor.pid, rig.pid);
	assert_true(proc_is_running(&saved.supervisor));
	machine_record_done(&saved);
	machine_record_done(&record);
	rig_close(&manager);
}

static void a_log_of_ten_megabytes_is_whole(void **state)
{
	struct machine_record record;
	struct buf log;
	size_t lines = 0;

	rig_start(&rig, ", \"log_bytes_max\": 100000000",
		  SH("i=0; while [ $i -lt 1280 ]; do printf '%08191d\\n' $i; i=$((i+1)); done"));
	assert_gone();
	rig_load_exit(&rig, &record);
	assert_int_equal(record.exit.code, 0);
	machine_record_done(&record);
	rig_read_log(&rig, "stdout", &log);
	assert_int_equal(log.length, 1280 * 8192);
	for (const char *p = log.data; *p != '\0'; p += 8192)
		assert_int_equal(strtol(p, NULL, 10), lines++);
	buf_done(&log);
}

static void a_log_without_end_is_rotated(void **state)
{
	_cleanup_free_ char *third = rig_path(&rig, "m/" LOG_DIRECTORY "/" LOG_FILE ".2");
	struct buf log;

	rig_start(&rig, ", \"log_bytes_max\": 65536, \"log_files\": 2",
		  SH("i=0; while [ $i -lt 100 ]; do printf '%08191d\\n' $i; i=$((i+1)); done"));
	assert_gone();
	assert_int_equal(access(third, F_OK), -1);
	rig_read_log(&rig, "stdout", &log);
	assert_true(log.length > 8192 && log.length <= 2 * 65536);
	assert_int_equal(strtol(log.data + log.length - 8192, NULL, 10), 99);
	buf_done(&log);
}

static void a_session_has_output_input_and_a_code(void **state)
{
	struct rig_connection manager, session;
	struct machine_record record;
	struct wire_exited exited;
	struct buf output;

	run(&manager, "", SLEEP, &record);
	machine_record_done(&record);
	exec_session(SH("echo out; exit 5"), &exited, &output);
	assert_int_equal(exited.code, 5);
	assert_string_equal(output.data, "out\n");
	buf_done(&output);

	rig_open(&rig, &session, (const char *const[]){"/bin/cat", NULL});
	buf_init(&output, 4096);
	while (rig_next(&session) && session.frame.type != WIRE_EXIT) {
		if (session.frame.type == WIRE_CREDIT && output.length == 0) {
			rig_send_data(&session, WIRE_STDIN, WIRE_STREAM_STDIN, "ping", 4);
			rig_send_data(&session, WIRE_END, WIRE_STREAM_STDIN, NULL, 0);
		}
		if (session.frame.type == WIRE_STDOUT)
			assert_int_equal(buf_append(&output, session.frame.payload,
						    session.frame.length),
					 0);
	}
	assert_int_equal(session.frame.type, WIRE_EXIT);
	assert_string_equal(output.data, "ping");
	buf_done(&output);
	rig_close(&session);
	rig_close(&manager);
}

static void a_client_may_open_one_session_after_the_other(void **state)
{
	static const char *const scripts[] = {"exit 2", "exit 3", "exit 4", "exit 0"};
	struct rig_connection manager, session;
	struct wire_signal signal = {.signal = SIGKILL};
	struct machine_record record;
	struct wire_exited exited;

	run(&manager, "", SLEEP, &record);
	machine_record_done(&record);
	rig_open(&rig, &session, SH("exit 1"));
	for (uint32_t code = 1; code <= ARRAY_SIZE(scripts); code++) {
		while (rig_next(&session) && session.frame.type != WIRE_EXIT)
			;
		assert_int_equal(wire_unpack(&wire_exited_message, session.frame.payload,
					     session.frame.length, &exited),
				 0);
		assert_int_equal(exited.code, code);
		/* What comes too late for one is not for the next. */
		rig_send(&session, WIRE_SIGNAL, 0, &wire_signal_message, &signal);
		rig_send_data(&session, WIRE_STDIN, WIRE_STREAM_STDIN, "x", 1);
		rig_send_data(&session, WIRE_END, WIRE_STREAM_STDIN, NULL, 0);
		rig_open_again(&session, SH(scripts[code - 1]));
	}
	while (rig_next(&session) && session.frame.type != WIRE_EXIT)
		;
	/* Nothing but a session's frames: else it is closed. */
	rig_send_data(&session, WIRE_KILL, 0, NULL, 0);
	assert_false(rig_next(&session));
	rig_close(&session);
	rig_close(&manager);
}

/* Those that wait for another session are the first to go when there are too many. */
static void connections_that_rest_make_room(void **state)
{
	static struct rig_connection sessions[LIMIT_CONTROL_CLIENTS];
	struct rig_connection manager, session;
	struct machine_record record;

	run(&manager, "", SLEEP, &record);
	machine_record_done(&record);
	for (size_t i = 0; i < ARRAY_SIZE(sessions); i++) {
		rig_open(&rig, &sessions[i], SH("exit 0"));
		while (rig_next(&sessions[i]) && sessions[i].frame.type != WIRE_EXIT)
			;
		assert_int_equal(sessions[i].frame.type, WIRE_EXIT);
	}
	/* With the manager there was one too many. */
	assert_false(rig_next(&sessions[0]));
	rig_open(&rig, &session, SH("exit 0"));
	while (rig_next(&session) && session.frame.type != WIRE_EXIT)
		;
	assert_int_equal(session.frame.type, WIRE_EXIT);
	assert_false(rig_next(&sessions[1]));
	for (size_t i = 0; i < ARRAY_SIZE(sessions); i++)
		rig_close(&sessions[i]);
	rig_close(&session);
	rig_close(&manager);
}

static void a_session_moves_more_than_its_window(void **state)
{
	struct rig_connection manager;
	struct machine_record record;
	struct wire_exited exited;
	struct buf output;

	run(&manager, "", SLEEP, &record);
	machine_record_done(&record);
	exec_session(SH("head -c 10000000 /dev/zero"), &exited, &output);
	assert_int_equal(exited.code, 0);
	assert_int_equal(output.length, 10000000);
	buf_done(&output);
	rig_close(&manager);
}

static void a_session_whose_client_goes_is_hung_up(void **state)
{
	_cleanup_free_ char *fifo = rig_path(&rig, "gone");
	_cleanup_free_ char *script =
		mem_printf("trap 'echo hup > %s; exit' HUP; echo up; while :; do sleep 0.01; done",
			   fifo);
	struct rig_connection manager, session;
	struct machine_record record;
	int64_t deadline_ms = clock_monotonic_ms() + 20000;

	run(&manager, "", SLEEP, &record);
	machine_record_done(&record);
	rig_open(&rig, &session, SH(script));
	while (rig_next(&session) && session.frame.type != WIRE_STDOUT)
		;
	rig_close(&session);
	while (access(fifo, F_OK) < 0) {
		assert_true(clock_left_ms(deadline_ms) > 0);
		poll(NULL, 0, 2);
	}
	rig_close(&manager);
}

static void a_client_that_breaks_the_rules_loses_its_connection(void **state)
{
	static char data[LIMIT_PAYLOAD_BYTES];
	struct rig_connection manager, session;
	struct machine_record record;

	run(&manager, "", SLEEP, &record);
	machine_record_done(&record);
	rig_open(&rig, &session, (const char *const[]){"/bin/sleep", "1000", NULL});
	/* More than a window and a pipe together; sleep reads none. */
	for (int i = 0; i < 16; i++)
		rig_send_data(&session, WIRE_STDIN, WIRE_STREAM_STDIN, data, sizeof(data));
	while (rig_next(&session))
		assert_int_equal(session.frame.type, WIRE_CREDIT);
	rig_close(&session);
	rig_connect(&rig, &session, WIRE_ROLE_SESSION);
	rig_send_data(&session, WIRE_KILL, 0, NULL, 0);
	assert_false(rig_next(&session));
	rig_close(&session);
	/* And the machine runs on. */
	stop(&manager, 1000);
	rig_await_state(&manager, MACHINE_STATE_STOPPED, &record);
	machine_record_done(&record);
	rig_close(&manager);
}

static void a_session_in_the_end_of_its_machine_ends(void **state)
{
	struct rig_connection manager, session;
	struct machine_record record;

	run(&manager, "", SLEEP, &record);
	machine_record_done(&record);
	rig_open(&rig, &session, (const char *const[]){"/bin/sleep", "1000", NULL});
	while (rig_next(&session) && session.frame.type != WIRE_CREDIT)
		;
	rig_send_data(&manager, WIRE_KILL, 0, NULL, 0);
	while (rig_next(&session) && session.frame.type != WIRE_FAIL &&
	       session.frame.type != WIRE_EXIT)
		;
	assert_true(session.frame.type == WIRE_FAIL || session.frame.type == WIRE_EXIT);
	assert_false(rig_next(&session));
	rig_close(&session);
	rig_close(&manager);
	assert_gone();
}

static void ask_stats(struct rig_connection *manager)
{
	rig_send_data(manager, WIRE_STATS_ASK, 0, NULL, 0);
}

static void await_stats(struct rig_connection *manager, struct wire_machine_stats *stats)
{
	do {
		assert_true(rig_next(manager));
	} while (manager->frame.type != WIRE_MACHINE_STATS);
	assert_int_equal(wire_unpack(&wire_machine_stats_message, manager->frame.payload,
				     manager->frame.length, stats),
			 0);
}

static void what_it_uses_is_told_to_those_who_ask(void **state)
{
	_cleanup_free_ char *disk = rig_path(&rig, "disk"), *data = mem_zalloc(65536);
	struct rig_connection managers[2];
	struct wire_machine_stats stats;
	struct machine_record record;

	memset(data, 'x', 65536);
	assert_int_equal(file_write_atomic(disk, data, 65536, 0600), 0);
	run(&managers[0], "", SLEEP, &record);
	rig_connect(&rig, &managers[1], WIRE_ROLE_MANAGER);
	for (int turn = 0; turn < 3; turn++) {
		for (int i = 0; i < 2; i++)
			ask_stats(&managers[i]);
		for (int i = 0; i < 2; i++) {
			await_stats(&managers[i], &stats);
			assert_true(stats.realtime_ns > (uint64_t)record.ready_at);
			assert_true(stats.host_cpu_us > 0);
			assert_true(stats.host_memory_bytes > 65536);
			assert_true(stats.disk_bytes >= 65536);
			assert_true(stats.guest.memory_total_bytes > 0);
			assert_int_equal(stats.net.sent_frames, 0);
		}
	}
	machine_record_done(&record);
	rig_close(&managers[0]);
	rig_close(&managers[1]);
}

static void a_guest_that_does_not_answer_is_left_out(void **state)
{
	struct rig_connection manager;
	struct wire_machine_stats stats;
	struct machine_record record;

	run(&manager, "", SLEEP, &record);
	assert_int_equal(kill(-record.vm.pid, SIGSTOP), 0);
	ask_stats(&manager);
	await_stats(&manager, &stats);
	assert_int_equal(stats.guest.memory_total_bytes, 0);
	assert_true(stats.host_memory_bytes > 0);
	assert_int_equal(kill(-record.vm.pid, SIGCONT), 0);
	machine_record_done(&record);
	rig_close(&manager);
}

static void krun_net_that_cannot_be_run_fails_the_machine(void **state)
{
	struct machine_record record;

	rig_start(&rig, ", \"mac\": \"02:00:00:00:00:01\", \"net_path\": \"/no/such/krun-net\"",
		  SLEEP);
	assert_gone();
	rig_load_exit(&rig, &record);
	assert_int_equal(record.state, MACHINE_STATE_FAILED);
	assert_non_null(strstr(record.reason, "/no/such/krun-net"));
	machine_record_done(&record);
}

static void krun_net_that_ends_at_once_fails_the_machine(void **state)
{
	struct machine_record record;

	rig_start(&rig, ", \"mac\": \"02:00:00:00:00:01\", \"net_path\": \"/bin/false\"", SLEEP);
	assert_gone();
	rig_load_exit(&rig, &record);
	assert_int_equal(record.state, MACHINE_STATE_FAILED);
	assert_non_null(strstr(record.reason, "network: krun-net ended with status 1"));
	machine_record_done(&record);
}

static void a_missing_vminit_fails_the_machine(void **state)
{
	struct machine_record record;

	setenv("VMINIT_FAKE_GOOD", getenv("VMINIT_FAKE"), 1);
	setenv("VMINIT_FAKE", "/no/such/vminit", 1);
	rig_start(&rig, "", SLEEP);
	setenv("VMINIT_FAKE", getenv("VMINIT_FAKE_GOOD"), 1);
	assert_gone();
	rig_load_exit(&rig, &record);
	assert_int_equal(record.state, MACHINE_STATE_FAILED);
	assert_non_null(strstr(record.reason, "/no/such/vminit"));
	machine_record_done(&record);
}

static void a_guest_that_never_calls_fails_at_its_deadline(void **state)
{
	static const char script[] = "#!/bin/sh\nexec yes boot message\n";
	_cleanup_free_ char *good = mem_strdup(getenv("VMINIT_FAKE")),
			    *path = rig_path(&rig, "yes");
	struct machine_record record;

	/* It prints on its console without end. */
	assert_int_equal(file_write_atomic(path, script, strlen(script), 0700), 0);
	setenv("VMINIT_FAKE", path, 1);
	rig_start(&rig, ", \"ready_timeout_s\": 1, \"log_bytes_max\": 65536, \"log_files\": 1",
		  SLEEP);
	setenv("VMINIT_FAKE", good, 1);
	assert_gone();
	rig_load_exit(&rig, &record);
	assert_int_equal(record.state, MACHINE_STATE_FAILED);
	assert_non_null(strstr(record.reason, "vminit did not call from the guest within 1 s; the "
					      "console's last lines: "));
	assert_non_null(strstr(record.reason, "boot message | boot message"));
	machine_record_done(&record);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_machine_runs_prints_and_stops_with_its_code),
		CASE(a_signal_that_ends_the_workload_is_told),
		CASE(a_missing_program_fails_with_127_and_a_sentence),
		CASE(a_stop_lets_the_workload_end_in_order),
		CASE(a_workload_that_ignores_the_signal_is_killed_by_the_guest),
		CASE(kill_ends_it_at_once),
		CASE(a_killed_vm_process_is_a_failure_that_says_so),
		CASE(a_killed_supervisor_takes_the_vm_process_with_it),
		CASE(a_stop_before_it_is_ready_is_a_stop),
		CASE(sigterm_to_the_supervisor_is_a_stop),
		CASE(a_manager_that_goes_changes_nothing),
		CASE(the_record_is_on_disk_while_it_runs),
		CASE(a_log_of_ten_megabytes_is_whole),
		CASE(a_log_without_end_is_rotated),
		CASE(a_session_has_output_input_and_a_code),
		CASE(a_client_may_open_one_session_after_the_other),
		CASE(connections_that_rest_make_room),
		CASE(a_session_moves_more_than_its_window),
		CASE(a_session_whose_client_goes_is_hung_up),
		CASE(a_client_that_breaks_the_rules_loses_its_connection),
		CASE(a_session_in_the_end_of_its_machine_ends),
		CASE(what_it_uses_is_told_to_those_who_ask),
		CASE(a_guest_that_does_not_answer_is_left_out),
		CASE(krun_net_that_cannot_be_run_fails_the_machine),
		CASE(krun_net_that_ends_at_once_fails_the_machine),
		CASE(a_missing_vminit_fails_the_machine),
		CASE(a_guest_that_never_calls_fails_at_its_deadline),
	};

	signal(SIGPIPE, SIG_IGN);
	if (getenv("TEST_FILTER") != NULL)
		cmocka_set_test_filter(getenv("TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
