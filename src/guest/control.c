/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "session.h"
#include "workload.h"

#define CONFIG_TIMEOUT_NS    (60 * NS_PER_S)
#define START_TIMEOUT_NS     (60 * NS_PER_S) /* an exec from a shared directory that does not answer */
#define KILL_TIMEOUT_NS      (5 * NS_PER_S) /* a process that SIGKILL does not end hangs in a device */
#define DRAIN_TIMEOUT_NS     (2 * NS_PER_S) /* after the last process is reaped */
#define FLUSH_TIMEOUT_NS     (5 * NS_PER_S)
#define ORPHAN_TIMEOUT_MS    10000           /* for the workload when the host is gone */
#define DELIVERY_INTERVAL_NS (1 * NS_PER_MS) /* between looks whether EXITED has left */

enum phase {
	PHASE_CONFIGURING,
	PHASE_STARTING,
	PHASE_RUNNING,
	PHASE_STOPPING,
	PHASE_KILLING,
	PHASE_FLUSHING,
	PHASE_OVER,
};

static struct {
	enum phase phase;
	uint64_t deadline_ns;
	bool host_greeted;
	bool children_gone;
	bool draining;     /* KILLING, and no process is left */
	bool acknowledged; /* the host has EXITED */
	bool has_result;   /* without the workload having run */
	struct set_up_times times;
	struct wire_exited result;
	struct failure failure;
	struct channel channel;
	struct loop loop;
} control;

/* Not in the struct: an initializer would put its buffers into the file. */
static int signal_fd = -1;

int control_block_signals(void)
{
	struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t all;

	/* Once here, so that no child needs to: what was ignored when we were started. */
	for (int number = 1; number < NSIG; number++)
		sigaction(number, &standard, NULL);
	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return -errno;
	sigemptyset(&all);
	sigaddset(&all, SIGCHLD);
	sigaddset(&all, SIGTERM);
	signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	return signal_fd < 0 ? -errno : 0;
}

void control_warn(const char *format, ...)
{
	char text[LIMIT_SENTENCE_BYTES + 1];
	struct wire_sentence sentence = {.text = text};
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	channel_send(&control.channel, WIRE_WARNING, 0, &wire_sentence_message, &sentence);
}

static void say_hello(void)
{
	struct utsname name = {0};
	struct timespec up = {0};
	struct wire_hello hello = {
		.version = WIRE_VERSION,
		.role = WIRE_ROLE_GUEST,
		.kernel = name.release,
	};

	uname(&name);
	clock_gettime(CLOCK_BOOTTIME, &up);
	hello.uptime_us = (uint64_t)up.tv_sec * 1000000 + (uint64_t)up.tv_nsec / NS_PER_US;
	channel_send(&control.channel, WIRE_HELLO, 0, &wire_hello_message, &hello);
}

static void enter(enum phase phase, uint64_t timeout_ns)
{
	control.phase = phase;
	control.deadline_ns = timeout_ns == CLOCK_NEVER ? CLOCK_NEVER : clock_now_ns() + timeout_ns;
}

static void begin_killing(void)
{
	if (control.phase >= PHASE_KILLING)
		return;
	platform_kill_all();
	enter(PHASE_KILLING, KILL_TIMEOUT_NS);
}

/* The machine ends without its workload ever having run. */
static void end_without_workload(uint32_t code, const char *reason)
{
	control.has_result = true;
	control.result = (struct wire_exited){.code = code, .reason = reason};
	begin_killing();
}

static void shut_down(uint32_t number, uint32_t timeout_ms)
{
	uint64_t deadline = clock_now_ns() + timeout_ms * NS_PER_MS;

	if (control.phase >= PHASE_KILLING)
		return;
	if (control.phase == PHASE_CONFIGURING) {
		end_without_workload(CODE_SIGNAL_BASE + (number != 0 ? number : SIGTERM), NULL);
		return;
	}
	if (timeout_ms == 0) {
		begin_killing();
		return;
	}
	workload_signal(number != 0 ? number : SIGTERM);
	/* A second request can only make it sooner. */
	if (control.phase != PHASE_STOPPING || deadline < control.deadline_ns) {
		control.phase = PHASE_STOPPING;
		control.deadline_ns = deadline;
	}
}

/* ---- frames ---- */

static void on_hello(const struct wire_frame *frame)
{
	struct wire_hello hello;

	if (wire_unpack(&wire_hello_message, frame->payload, frame->length, &hello) < 0)
		hello.version = 0;
	control.host_greeted = hello.version == WIRE_VERSION;
	if (control.host_greeted || control.phase != PHASE_CONFIGURING)
		return;
	failure_set(&control.failure, CODE_SET_UP,
		    "the host speaks version %u of the guest protocol, this guest version %d",
		    hello.version, WIRE_VERSION);
	end_without_workload(CODE_SET_UP, control.failure.text);
}

static void on_config(const struct wire_frame *frame)
{
	static struct wire_config config;

	if (control.phase != PHASE_CONFIGURING)
		return;
	if (!control.host_greeted ||
	    wire_unpack(&wire_config_message, frame->payload, frame->length, &config) < 0 ||
	    config.process.argv[0] == NULL) {
		end_without_workload(CODE_SET_UP, "the host's configuration cannot be read");
		return;
	}
	if (platform_set_up(&config, &control.times, &control.failure) < 0) {
		end_without_workload(control.failure.code, control.failure.text);
		return;
	}
	enter(PHASE_STARTING, START_TIMEOUT_NS);
	workload_start(&config.process);
}

static void on_open(const struct wire_frame *frame)
{
	static struct wire_open open;

	if (control.phase != PHASE_RUNNING && control.phase != PHASE_STOPPING &&
	    control.phase != PHASE_STARTING)
		return;
	if (wire_unpack(&wire_open_message, frame->payload, frame->length, &open) < 0 ||
	    (open.kind == WIRE_KIND_EXEC && open.process.argv[0] == NULL)) {
		control_warn("a session's request cannot be read");
		return;
	}
	session_open(&open);
}

static void on_signal(const struct wire_frame *frame)
{
	struct wire_signal signal;

	if (wire_unpack(&wire_signal_message, frame->payload, frame->length, &signal) == 0)
		workload_signal(signal.signal);
}

static void on_shutdown(const struct wire_frame *frame)
{
	struct wire_shutdown shutdown;

	if (wire_unpack(&wire_shutdown_message, frame->payload, frame->length, &shutdown) == 0)
		shut_down(shutdown.signal, shutdown.timeout_ms);
}

static void on_clock(const struct wire_frame *frame)
{
	struct wire_clock clock;

	if (wire_unpack(&wire_clock_message, frame->payload, frame->length, &clock) == 0)
		platform_clock_set(clock.realtime_ns);
}

static void send_stats(void)
{
	struct wire_stats stats = {0};

	platform_stats_read(&stats);
	channel_send(&control.channel, WIRE_STATS, 0, &wire_stats_message, &stats);
}

static void on_stats_ask(const struct wire_frame *frame)
{
	(void)frame;
	if (control.phase == PHASE_RUNNING || control.phase == PHASE_STOPPING)
		send_stats();
}

static void on_end(const struct wire_frame *frame)
{
	if (control.phase == PHASE_FLUSHING && frame->stream == WIRE_STREAM_ALL)
		control.acknowledged = true;
}

static const struct {
	uint8_t type;
	void (*call)(const struct wire_frame *frame);
} handlers[] = {
	{WIRE_HELLO, on_hello},         {WIRE_CONFIG, on_config},     {WIRE_OPEN, on_open},
	{WIRE_SIGNAL, on_signal},       {WIRE_SHUTDOWN, on_shutdown}, {WIRE_CLOCK, on_clock},
	{WIRE_STATS_ASK, on_stats_ask}, {WIRE_END, on_end},
};

static void take_frames(void)
{
	struct wire_frame frame;

	while (channel_next(&control.channel, &frame)) {
		for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
			if (handlers[i].type == frame.type)
				handlers[i].call(&frame);
		}
	}
}

static void on_channel(void *owner, short events)
{
	(void)owner;
	channel_flush(&control.channel);
	if ((events & (POLLIN | POLLHUP | POLLERR)) != 0)
		channel_receive(&control.channel);
	take_frames();
}

/* ---- children ---- */

static void reap(void)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (!workload_reap(pid, status))
			(void)session_reap(pid, status);
	}
	control.children_gone = pid < 0 && errno == ECHILD;
}

static void on_signals(void *owner, short events)
{
	struct signalfd_siginfo info;

	(void)owner;
	(void)events;
	while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM)
			shut_down(SIGTERM, ORPHAN_TIMEOUT_MS);
	}
	reap();
	/* Children of what was just reaped are ours now. */
	if (control.phase == PHASE_KILLING && !control.children_gone)
		platform_kill_all();
}

/* ---- moves ---- */

static void send_ready(void)
{
	const struct process *process = workload_process();
	struct wire_ready ready = {
		.root_us = control.times.root_us,
		.network_us = control.times.network_us,
		.start_us = (uint32_t)((process->executed_ns - process->forked_ns) / NS_PER_US),
	};

	channel_send(&control.channel, WIRE_READY, 0, &wire_ready_message, &ready);
}

static void watch_workload(void)
{
	const struct process *process = workload_process();

	/* It may have been executed and have ended within one turn. */
	if (control.phase == PHASE_STARTING &&
	    (process->state == PROCESS_RUNNING || process->state == PROCESS_ENDED)) {
		send_ready();
		enter(PHASE_RUNNING, CLOCK_NEVER);
	}
	if (process->state == PROCESS_FAILED)
		end_without_workload(process->failure.code, process->failure.text);
	else if (process->state == PROCESS_ENDED)
		begin_killing();
}

static void send_exited(void)
{
	const struct process *process = workload_process();

	if (!control.has_result && process->state == PROCESS_ENDED)
		control.result = process->exited;
	else if (!control.has_result)
		control.result = (struct wire_exited){
			.code = CODE_SIGNAL_BASE + SIGKILL,
			.signal = SIGKILL,
			.reason = "the workload does not end on SIGKILL",
		};
	channel_send(&control.channel, WIRE_EXITED, 0, &wire_exited_message, &control.result);
	enter(PHASE_FLUSHING, FLUSH_TIMEOUT_NS);
}

static void watch_killing(void)
{
	channel_flush(&control.channel);
	if (session_flush_all() && control.children_gone && workload_is_drained() &&
	    channel_is_flushed(&control.channel)) {
		send_exited();
		return;
	}
	/* Somebody outside our reach may hold the workload's output. */
	if (control.children_gone && !control.draining) {
		control.draining = true;
		control.deadline_ns = MIN(control.deadline_ns, clock_now_ns() + DRAIN_TIMEOUT_NS);
	}
	if (clock_now_ns() >= control.deadline_ns)
		send_exited();
}

static void watch_deadline(void)
{
	if (clock_now_ns() < control.deadline_ns)
		return;
	if (control.phase == PHASE_CONFIGURING)
		end_without_workload(CODE_SET_UP, "the host sent no configuration");
	else if (control.phase == PHASE_STARTING)
		end_without_workload(CODE_SET_UP, "the workload could not be executed in time");
	else if (control.phase == PHASE_STOPPING)
		begin_killing();
}

/*
 * A virtio-serial port takes what is written and says nothing of when, or whether, QEMU has sent it on: a
 * reboot would lose it.
 */
static bool is_delivered(void)
{
	if (!channel_is_delivered(&control.channel))
		return false;
	return !platform_has_session_ports() || control.acknowledged || control.channel.ended;
}

/* What has happened in this turn decides the next phase. */
static void advance(void)
{
	session_advance();
	if (control.channel.ended && control.phase < PHASE_STOPPING)
		shut_down(SIGTERM, ORPHAN_TIMEOUT_MS);
	if (control.phase < PHASE_KILLING)
		watch_workload();
	if (control.phase < PHASE_KILLING)
		watch_deadline();
	if (control.phase == PHASE_KILLING) {
		reap();
		watch_killing();
	}
	if (control.phase == PHASE_FLUSHING)
		channel_flush(&control.channel);
	if (control.phase == PHASE_FLUSHING &&
	    (is_delivered() || clock_now_ns() >= control.deadline_ns))
		control.phase = PHASE_OVER;
}

static void wait_for_events(void)
{
	struct loop *loop = &control.loop;

	channel_flush(&control.channel);
	loop_begin(loop);
	loop_watch(loop, signal_fd, POLLIN, on_signals, NULL);
	loop_watch(loop, control.channel.fd, channel_events(&control.channel), on_channel, NULL);
	workload_watch(loop);
	session_watch(loop);
	loop_wake_at(loop, control.deadline_ns);
	if (control.phase == PHASE_FLUSHING)
		loop_wake_at(loop, clock_now_ns() + DELIVERY_INTERVAL_NS);
	loop_wait(loop);
}

uint32_t control_run(int fd)
{
	channel_open(&control.channel, fd, false);
	workload_init(&control.channel);
	session_init();
	say_hello();
	enter(PHASE_CONFIGURING, CONFIG_TIMEOUT_NS);
	while (control.phase != PHASE_OVER) {
		wait_for_events();
		advance();
	}
	channel_close(&control.channel);
	return control.result.code;
}
