/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * An event comes from a part (VM process, guest, krun-net, a manager, a signal, the clock) and goes
 * through supervisor_handle(), which looks up what to do in the table `actions`. Only set_state()
 * changes the state, and only along the moves of machine/state.h.
 *
 *	STARTING  The VM process and krun-net are started together; the VM process prepares itself and
 *		  waits. When krun-net has its ports, or there is no network, it is told to go. The guest
 *		  says HELLO, gets its configuration, says READY.
 *	RUNNING	  Until the guest reports EXITED, or a stop is asked for.
 *	STOPPING  The guest was told to shut down and has its timeout and a little more.
 *
 * From any of these the end of the VM process leads to finish(): what the guest had said is taken,
 * the outcome is decided (outcome.h), recorded and told. The VM process ends by itself after EXITED,
 * or because force() ends it: at a deadline, on KILL, when the machine cannot go on. Why that was
 * stands in `failure` (the machine failed) or `remark` (it stopped, but one should know).
 *
 * The machine itself has one deadline at a time: krun-net's ports, then ready, then none, then stop,
 * then the end of the VM process after EXITED.
 */
#include "supervisor.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "outcome.h"
#include "supervisor_parts.h"

#define NET_READY_MS 10000
/* A stop's timeout is the guest's; this much more is for its sync and reboot. */
#define STOP_GRACE_MS 5000
/* From EXITED to the end of the VM process. */
#define POWER_OFF_MS 10000
/* From SIGKILL to the end of the VM process, which only a broken kernel passes. */
#define FORCE_MS          10000
#define FAREWELL_MS       2000
#define OPEN_FILES_WANTED 4096

static void say(struct buf *sentence, const char *text)
{
	if (sentence->length == 0)
		(void)!buf_append(sentence, text, strnlen(text, sentence->bytes_max));
}

void supervisor_fail(struct supervisor *s, const char *sentence)
{
	say(&s->failure, sentence);
}

/* Records. */

static void publish(struct supervisor *s)
{
	_cleanup_buf_ struct buf text;
	struct jsonw w;

	buf_init(&text, LIMIT_RECORD_BYTES);
	jsonw_init(&w, &text);
	machine_record_write(&w, &s->record);
	if (jsonw_finish(&w) < 0)
		log_error("the record of the machine is too long");
	else
		control_set_state(&s->control, text.data, text.length);
}

static int save(struct supervisor *s, const char *file)
{
	struct err err;
	int r;

	r = machine_record_save(&s->record, s->config->machine_dir, file, &err);
	if (r == -ENOSPC || r == -EDQUOT) {
		/* How a machine ended matters more than what it printed long ago. */
		log_writer_drop_old(&s->log);
		r = machine_record_save(&s->record, s->config->machine_dir, file, &err);
	}
	if (r < 0)
		log_error("%s", err.text);
	return r;
}

static void set_state(struct supervisor *s, enum machine_state state)
{
	assert(machine_state_may_move(s->record.state, state));
	s->record.state = state;
	log_info("machine %s: %s%s%s", s->config->id, machine_state_name(state),
		 s->record.reason != NULL ? ": " : "",
		 s->record.reason != NULL ? s->record.reason : "");
}

/* Managers first: the disk may take its time. */
static void move_to(struct supervisor *s, enum machine_state state)
{
	set_state(s, state);
	publish(s);
	(void)!save(s, MACHINE_RECORD_FILE);
}

/* Actions. */

/* Ends the VM process; that event goes on from here. */
static void force(struct supervisor *s)
{
	s->forced = true;
	s->deadline_ms = clock_monotonic_ms() + FORCE_MS;
	child_kill(&s->vm.child, SIGKILL);
}

static void go(struct supervisor *s)
{
	s->deadline_ms = s->started_ms + s->config->ready_timeout_s * 1000;
	vm_go(&s->vm);
}

/* Only now: until here every millisecond is the machine's start, from here on the guest's. */
static void save_start(struct supervisor *s)
{
	(void)!save(s, MACHINE_RECORD_FILE);
}

static void configure(struct supervisor *s)
{
	struct wire_hello hello = {
		.version = WIRE_VERSION,
		.role = WIRE_ROLE_VMM,
		.machine_id = s->config->id,
		.generation = (uint32_t)s->config->generation,
	};
	struct wire_config config;
	int r;

	plan_fill_guest(&s->plan, &config);
	s->backend->fill_guest(&s->plan, &config);
	r = guest_send(&s->guest, WIRE_HELLO, &wire_hello_message, &hello);
	if (r >= 0)
		r = guest_send(&s->guest, WIRE_CONFIG, &wire_config_message, &config);
	if (r >= 0)
		return;
	supervisor_fail(s, r == -EMSGSIZE ? "the guest's configuration is too large: arguments and "
					    "environment together may have 56 KiB"
					  : "the guest does not take its configuration");
	force(s);
}

static void become_running(struct supervisor *s)
{
	s->record.ready_at = clock_realtime_ns();
	s->record.boot_ms.ready = clock_monotonic_ms() - s->started_ms;
	s->deadline_ms = INT64_MAX;
	move_to(s, MACHINE_STATE_RUNNING);
}

/* The guest powers itself off now. */
static void await_power_off(struct supervisor *s)
{
	if (!s->forced)
		s->deadline_ms = clock_monotonic_ms() + POWER_OFF_MS;
}

static void shut_down(struct supervisor *s)
{
	if (s->exited || s->forced)
		return;
	s->deadline_ms = clock_monotonic_ms() + s->stop.timeout_ms + STOP_GRACE_MS;
	if (guest_send(&s->guest, WIRE_SHUTDOWN, &wire_shutdown_message, &s->stop) < 0) {
		say(&s->remark,
		    "the guest did not take the request to stop and was ended by force");
		force(s);
	}
	if (s->record.state != MACHINE_STATE_STOPPING)
		move_to(s, MACHINE_STATE_STOPPING);
}

/* vminit honours it also before READY; before HELLO there is nothing that could be lost. */
static void stop_starting(struct supervisor *s)
{
	say(&s->remark, "it was stopped before it was ready");
	if (s->guest.hello) {
		shut_down(s);
		return;
	}
	force(s);
	move_to(s, MACHINE_STATE_STOPPING);
}

static void end_now(struct supervisor *s)
{
	force(s);
}

static void give_up_start(struct supervisor *s)
{
	char text[128];
	const char *what = "the VM process did not start";
	long long seconds = s->config->ready_timeout_s;

	if (s->plan.has_net && !s->net.ready) {
		what = "network: krun-net was not ready";
		seconds = NET_READY_MS / 1000;
	} else if (s->guest.hello) {
		what = "the guest was not ready";
	} else if (s->entered_ms > 0) {
		what = "vminit did not call from the guest";
	}
	snprintf(text, sizeof(text), "%s within %lld s", what, seconds);
	supervisor_fail(s, text);
	force(s);
}

/* At a deadline of a machine that was up. */
static void end_overdue(struct supervisor *s)
{
	char text[128];

	if (s->exited)
		snprintf(
			text, sizeof(text),
			"the guest did not power off within %d s after its workload had ended, and "
			"was ended by force",
			POWER_OFF_MS / 1000);
	else
		snprintf(text, sizeof(text),
			 "the guest did not stop within %u s and was ended by force",
			 s->stop.timeout_ms / 1000 + STOP_GRACE_MS / 1000);
	if (s->guest_lost && !s->exited && !s->stop_asked)
		supervisor_fail(s, "the guest closed its control channel and went on");
	else
		say(&s->remark, text);
	force(s);
}

/* What runs in it is given the time to end in order, although the machine has failed. */
static void stop_without_net(struct supervisor *s)
{
	if (!s->stop_asked) {
		s->stop = (struct wire_shutdown){
			.signal = (uint32_t)s->plan.stop_signal,
			.timeout_ms = (uint32_t)s->config->stop.timeout_s * 1000,
		};
	}
	shut_down(s);
}

static void lose_guest(struct supervisor *s)
{
	/* A guest that ends closes its channel a moment before its VM process is gone. */
	if (s->failure.length == 0)
		await_power_off(s);
	else
		force(s);
}

static void tell_logged(struct supervisor *s)
{
	if (s->log.grown) {
		s->log.grown = false;
		control_set_logged(&s->control);
	}
}

static void finish(struct supervisor *s)
{
	struct outcome outcome;
	enum machine_state state;
	struct err err;

	/* What it said last may be why it ended. */
	vm_drain(&s->vm);
	if (s->next_reason.length > 0 && !s->stop_asked && !s->kill_asked) {
		if (parts_start_next(s, &err) >= 0) {
			if (!s->plan.has_net || s->net.ready)
				go(s);
			return;
		}
		supervisor_fail(s, err.text);
	}
	parts_end(s);
	log_writer_flush(&s->log, true);
	tell_logged(s);
	outcome = (struct outcome){
		.backend = s->backend,
		.failure = s->failure.data,
		.remark = s->remark.data,
		.ready = s->ready,
		.exited = s->exited,
		.asked = s->stop_asked || s->kill_asked,
		.forced = s->forced,
		.status = s->vm.child.status,
		.exit = s->exit,
		.exit_reason = s->exit_reason,
		.console = &s->vm.console_tail,
		.messages = &s->vm.messages_tail,
	};
	state = outcome_decide(&outcome, &s->record);
	s->record.finished_at = clock_realtime_ns();
	set_state(s, state);
	s->saved = save(s, MACHINE_EXIT_FILE) >= 0;
	publish(s);
	s->over = true;
}

/* Where nothing stands, an event cannot happen or means nothing. */
static void (*const actions[MACHINE_STATE_COUNT][EVENT_COUNT])(struct supervisor *s) = {
	[MACHINE_STATE_STARTING] =
		{
			[EVENT_NET_READY] = go,
			[EVENT_NET_LOST] = end_now,
			[EVENT_ENTERED] = save_start,
			[EVENT_HELLO] = configure,
			[EVENT_READY] = become_running,
			[EVENT_EXITED] = await_power_off,
			[EVENT_GUEST_LOST] = lose_guest,
			[EVENT_STOP] = stop_starting,
			[EVENT_KILL] = end_now,
			[EVENT_VM_FAILED] = end_now,
			[EVENT_VM_ENDED] = finish,
			[EVENT_DEADLINE] = give_up_start,
		},
	[MACHINE_STATE_RUNNING] =
		{
			[EVENT_NET_LOST] = stop_without_net,
			[EVENT_EXITED] = await_power_off,
			[EVENT_GUEST_LOST] = lose_guest,
			[EVENT_STOP] = shut_down,
			[EVENT_KILL] = end_now,
			[EVENT_VM_FAILED] = end_now,
			[EVENT_VM_ENDED] = finish,
			[EVENT_DEADLINE] = end_overdue,
		},
	[MACHINE_STATE_STOPPING] =
		{
			[EVENT_NET_LOST] = stop_without_net,
			[EVENT_EXITED] = await_power_off,
			[EVENT_GUEST_LOST] = lose_guest,
			[EVENT_STOP] = shut_down,
			[EVENT_KILL] = end_now,
			[EVENT_VM_FAILED] = end_now,
			[EVENT_VM_ENDED] = finish,
			[EVENT_DEADLINE] = end_overdue,
		},
};

void supervisor_handle(struct supervisor *s, enum event event)
{
	void (*action)(struct supervisor * s) = actions[s->record.state][event];

	if (!s->over && action != NULL)
		action(s);
}

/* The loop. */

static int64_t next_deadline(const struct supervisor *s)
{
	int64_t deadline_ms = MIN(s->deadline_ms, s->net_deadline_ms);

	deadline_ms = MIN(deadline_ms, s->log.flush_at_ms);
	deadline_ms = MIN(deadline_ms, s->wall_clock.check_at_ms);
	deadline_ms = MIN(deadline_ms, s->stats.deadline_ms);
	deadline_ms = MIN(deadline_ms, sessions_deadline(&s->sessions));
	return MIN(deadline_ms, control_deadline(&s->control));
}

static void look_at_clock(struct supervisor *s)
{
	int64_t now_ms = clock_monotonic_ms();

	wall_clock_expire(&s->wall_clock, now_ms);
	log_writer_flush(&s->log, false);
	tell_logged(s);
	stats_expire(&s->stats, now_ms);
	sessions_expire(&s->sessions);
	control_expire(&s->control);
	if (now_ms >= s->net_deadline_ms) {
		s->net_deadline_ms = INT64_MAX;
		supervisor_fail(s, "network: krun-net ended although the guest runs");
		supervisor_handle(s, EVENT_NET_LOST);
	}
	if (now_ms >= s->deadline_ms)
		supervisor_handle(s, EVENT_DEADLINE);
}

static void serve(struct supervisor *s)
{
	int r;

	while (!s->over) {
		r = loop_turn(&s->loop, next_deadline(s));
		if (r < 0) {
			/* Nothing can be watched any more: the machine cannot be kept. */
			supervisor_fail(s, "the supervisor cannot wait for events");
			finish(s);
			return;
		}
		look_at_clock(s);
	}
}

static int start(struct supervisor *s, struct err *err)
{
	int r;

	r = log_writer_open(&s->log, s->config->machine_dir, (uint64_t)s->config->log_bytes_max,
			    (unsigned)s->config->log_files, err);
	if (r >= 0)
		r = host_detect(&s->host, err);
	if (r >= 0)
		r = plan_make(&s->plan, s->config, &s->host, err);
	if (r >= 0)
		r = parts_start(s, err);
	return r;
}

static void init(struct supervisor *s, const struct vmm_config *config,
		 const struct buf *config_text)
{
	*s = (struct supervisor){
		.config = config,
		.config_text = config_text,
		.log = {.fd = -1, .flush_at_ms = INT64_MAX},
		.started_ms = clock_monotonic_ms(),
	};
	s->deadline_ms = s->started_ms + config->ready_timeout_s * 1000;
	buf_init(&s->failure, 2 * ERR_TEXT_BYTES_MAX);
	buf_init(&s->remark, ERR_TEXT_BYTES_MAX);
	buf_init(&s->unusable, 2 * ERR_TEXT_BYTES_MAX);
	buf_init(&s->next_reason, ERR_TEXT_BYTES_MAX);
	machine_record_init(&s->record);
	s->record.id = mem_strdup(config->id);
	s->record.generation = config->generation;
	s->record.started_at = clock_realtime_ns();
	machine_ports_copy(&s->record.ports, &config->ports);
	(void)!proc_identify(getpid(), &s->record.supervisor);
	parts_init(s);
}

static void done(struct supervisor *s)
{
	parts_done(s);
	plan_done(&s->plan);
	log_writer_done(&s->log);
	machine_record_done(&s->record);
	buf_done(&s->failure);
	buf_done(&s->remark);
	buf_done(&s->unusable);
	buf_done(&s->next_reason);
	free(s->exit_reason);
}

int supervisor_run(const struct vmm_config *config, const struct buf *config_text, int control_fd)
{
	/* Not on the stack: it is large. */
	struct supervisor *s = mem_new(struct supervisor);
	struct rlimit no_core = {0, 0};
	struct err err = {0};
	bool saved;
	int r;

	/* A core of a VM process or of this one holds the guest's memory and its secrets. */
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)proc_raise_open_files(OPEN_FILES_WANTED);
	init(s, config, config_text);
	set_state(s, MACHINE_STATE_STARTING);
	r = control_open(&s->control, control_fd, config->id, (uint32_t)config->generation, &err);
	if (r >= 0)
		r = start(s, &err);
	if (r < 0) {
		supervisor_fail(s, err.text);
		finish(s);
	} else {
		if (s->plan.has_net)
			s->deadline_ms = s->started_ms + NET_READY_MS;
		else
			go(s);
		publish(s);
	}
	serve(s);
	saved = s->saved;
	control_end(&s->control, clock_monotonic_ms() + FAREWELL_MS);
	done(s);
	free(s);
	return saved ? 0 : 1;
}
