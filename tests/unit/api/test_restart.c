/* SPDX-License-Identifier: Apache-2.0 */
/* What the end of a start leads to: policies, delays, the time to live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "machine.h"
#include "restart.h"
#include "server.h"

#define MINUTE_NS (60 * CLOCK_NS_PER_S)

static struct server server;

static struct machine *make_machine(const char *policy, long long max_retries)
{
	struct machine_request request;
	struct machine *machine;

	machine_request_init(&request);
	mem_replace(&request.config.restart.policy, policy);
	request.config.restart.max_retries = max_retries;
	machine = machine_new(&server, &request);
	machine_request_done(&request);
	return machine;
}

/* A start that lasted so long and ended with that code. */
static void end_with(struct machine *machine, long long code, int64_t lasted_ns)
{
	machine->state = MACHINE_STATE_STOPPED;
	machine->record.has_exit = true;
	machine->record.exit.code = code;
	machine->record.started_at = MINUTE_NS;
	machine->record.finished_at = MINUTE_NS + lasted_ns;
	mem_replace(&machine->reason, NULL);
	mem_replace(&machine->record.reason, NULL);
	restart_explain(machine);
	restart_decide(machine);
}

static void who_is_restarted(void **state)
{
	static const struct {
		const char *policy;
		long long code;
		bool failed, asked, requested, due;
	} cases[] = {
		{"no", 1, .due = false},
		{"no", 0, .failed = true, .due = false},
		{"on-failure", 0, .due = false},
		{"on-failure", 1, .due = true},
		{"on-failure", 0, .failed = true, .due = true},
		{"on-failure", 1, .asked = true, .due = false},
		{"on-failure", 1, .requested = true, .due = false},
		{"on-failure", 1, .failed = true, .asked = true, .due = false},
		{"always", 0, .due = true},
		{"always", 7, .due = true},
		{"always", 0, .failed = true, .due = true},
		{"always", 0, .requested = true, .due = false},
		{"always", 0, .asked = true, .due = false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine *machine = make_machine(cases[i].policy, 3);

		machine->stop_asked = cases[i].asked;
		machine->record.exit.requested = cases[i].requested;
		end_with(machine, cases[i].code, CLOCK_NS_PER_S);
		if (cases[i].failed) {
			machine->state = MACHINE_STATE_FAILED;
			restart_decide(machine);
		}
		if (machine->restart_due != cases[i].due)
			fail_msg("case %zu", i);
		machine_free(machine);
	}
}

static void delays_double_up_to_a_minute_and_begin_anew(void **state)
{
	struct machine *machine = make_machine("always", 0);
	long long expected_ms = 100;

	for (int i = 0; i < 14; i++) {
		end_with(machine, 1, CLOCK_NS_PER_S);
		assert_int_equal(machine->restart_delay_ms, expected_ms);
		expected_ms = MIN(expected_ms * 2, 60000);
	}
	assert_string_equal(machine->reason, "restarting in 60.0 s after exit code 1");
	/* Just not long enough, and long enough. */
	end_with(machine, 1, 10 * CLOCK_NS_PER_S - CLOCK_NS_PER_MS);
	assert_int_equal(machine->restart_delay_ms, 60000);
	end_with(machine, 1, 10 * CLOCK_NS_PER_S);
	assert_int_equal(machine->restart_delay_ms, 100);
	/* A clock that was set back meanwhile. */
	end_with(machine, 1, -5 * MINUTE_NS);
	assert_int_equal(machine->restart_delay_ms, 200);
	machine_free(machine);
}

static void retries_are_counted(void **state)
{
	struct machine *machine = make_machine("on-failure", 2);

	machine->restart_count = 1;
	end_with(machine, 5, CLOCK_NS_PER_S);
	assert_true(machine->restart_due);
	machine->restart_count = 2;
	end_with(machine, 5, CLOCK_NS_PER_S);
	assert_false(machine->restart_due);
	assert_string_equal(machine->reason, "not restarted again after 2 restarts: exit code 5");
	/* 0 is without limit. */
	machine->config.restart.max_retries = 0;
	machine->restart_count = 1000000;
	end_with(machine, 5, CLOCK_NS_PER_S);
	assert_true(machine->restart_due);
	machine_free(machine);
}

static void removal_waits_for_the_policy(void **state)
{
	struct machine *machine = make_machine("on-failure", 1);

	machine->config.auto_remove = true;
	end_with(machine, 5, CLOCK_NS_PER_S);
	assert_true(machine->restart_due);
	assert_false(machine->is_deleting);
	machine->restart_count = 1;
	machine->keep_once = true;
	end_with(machine, 5, CLOCK_NS_PER_S);
	assert_false(machine->is_deleting);
	machine->keep_once = false;
	end_with(machine, 5, CLOCK_NS_PER_S);
	assert_true(machine->is_deleting);
	machine_free(machine);
}

static void a_time_to_live_is_recognised_by_the_next_server(void **state)
{
	struct machine *machine = make_machine("always", 0);

	machine->config.ttl_s = 30;
	machine->record.exit.requested = true;
	end_with(machine, 0, 29 * CLOCK_NS_PER_S);
	assert_false(machine->ttl_over);
	assert_null(machine->reason);
	end_with(machine, 0, 31 * CLOCK_NS_PER_S);
	assert_true(machine->ttl_over);
	assert_false(machine->restart_due);
	assert_string_equal(machine->reason, "stopped: it had run for its ttl_s of 30 s");
	machine_free(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_restarted),
		cmocka_unit_test(delays_double_up_to_a_minute_and_begin_anew),
		cmocka_unit_test(retries_are_counted),
		cmocka_unit_test(removal_waits_for_the_policy),
		cmocka_unit_test(a_time_to_live_is_recognised_by_the_next_server),
	};

	return cmocka_run_group_tests_name("api-restart", tests, NULL, NULL);
}
