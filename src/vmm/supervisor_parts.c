/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor_parts.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "machine/net_config.h"
#include "share_file.h"
#include "wire/signal.h"

/* krun-net ends when the VM process does: which of the two ended first is seen a moment later. */
#define NET_ORPHAN_MS 2000
#define WARNINGS_MAX  64

/* The VM process. */

static void on_vm_entered(void *owner)
{
	struct supervisor *s = owner;

	s->entered_ms = clock_monotonic_ms();
	s->record.boot_ms.spawn = s->entered_ms - s->started_ms;
	/* Now only the VM process holds it, so that its end is krun-net's end of file. */
	if (s->backend->takes_frames)
		s->frames_fd = fd_close(s->frames_fd);
	supervisor_handle(s, EVENT_ENTERED);
}

static void on_vm_failed(void *owner, bool unusable, const char *sentence)
{
	struct supervisor *s = owner;
	char text[2 * ERR_TEXT_BYTES_MAX];

	if (unusable && s->automatic && !s->stop_asked && !s->kill_asked) {
		(void)!buf_append_string(&s->next_reason, sentence);
		return;
	}
	snprintf(text, sizeof(text), "%s%s%s: %s", s->unusable.length > 0 ? s->unusable.data : "",
		 s->unusable.length > 0 ? "; " : "", s->backend->name, sentence);
	supervisor_fail(s, text);
	supervisor_handle(s, EVENT_VM_FAILED);
}

static void on_vm_console(void *owner, const char *data, size_t length)
{
	struct supervisor *s = owner;

	log_writer_add(&s->log, LOG_STREAM_CONSOLE, data, length);
}

static const struct vm_calls vm_calls = {
	.entered = on_vm_entered,
	.failed = on_vm_failed,
	.console = on_vm_console,
};

/* krun-net. */

static void on_net_ready(void *owner, const struct wire_net_ready *ready)
{
	struct supervisor *s = owner;

	for (size_t i = 0; i < s->record.ports.count && i < ready->host_port_count; i++)
		s->record.ports.items[i].host_port = ready->host_ports[i];
	supervisor_handle(s, EVENT_NET_READY);
}

static void on_net_lost(void *owner, const char *sentence)
{
	struct supervisor *s = owner;
	char text[LIMIT_SENTENCE_BYTES + 128];

	if (child_reap(&s->vm.child)) {
		supervisor_handle(s, EVENT_VM_ENDED);
		return;
	}
	if (!s->net.child.running && s->net.child.status == 0 && s->net.ready) {
		s->net_deadline_ms = clock_monotonic_ms() + NET_ORPHAN_MS;
		return;
	}
	snprintf(text, sizeof(text), "network: %s", sentence);
	supervisor_fail(s, text);
	supervisor_handle(s, EVENT_NET_LOST);
}

/* krun-net has written it where this goes, too. */
static void on_net_warned(void *owner, const char *sentence)
{
	(void)owner;
	log_debug("%s", sentence);
}

static void on_net_stats(void *owner, const struct wire_net_stats *stats)
{
	struct supervisor *s = owner;

	stats_take_net(&s->stats, stats);
}

static const struct net_calls net_calls = {
	.ready = on_net_ready,
	.lost = on_net_lost,
	.warned = on_net_warned,
	.stats = on_net_stats,
};

/* The guest. */

static void on_warned(void *owner, const char *sentence)
{
	struct supervisor *s = owner;

	if (s->warnings++ >= WARNINGS_MAX)
		return;
	log_warn("%s", sentence);
	control_warn(&s->control, sentence);
}

static void on_guest_hello(void *owner, const struct wire_hello *hello)
{
	struct supervisor *s = owner;

	if (s->entered_ms > 0)
		s->record.boot_ms.kernel = clock_monotonic_ms() - s->entered_ms;
	supervisor_handle(s, EVENT_HELLO);
}

static void on_guest_ready(void *owner, const struct wire_ready *ready)
{
	struct supervisor *s = owner;

	s->ready = true;
	s->record.boot_ms.root = ready->root_us / 1000;
	s->record.boot_ms.network = ready->network_us / 1000;
	supervisor_handle(s, EVENT_READY);
}

static void on_guest_output(void *owner, enum log_stream stream, const void *data, size_t length)
{
	struct supervisor *s = owner;

	log_writer_add(&s->log, stream, data, length);
}

static void on_guest_exited(void *owner, const struct wire_exited *exited)
{
	struct supervisor *s = owner;

	s->exited = true;
	s->exit = (struct machine_exit){
		.code = exited->code,
		.signal = exited->signal,
		.oom_killed = exited->oom_killed != 0,
	};
	mem_replace(&s->exit_reason, exited->reason);
	supervisor_handle(s, EVENT_EXITED);
}

static void on_guest_stats(void *owner, const struct wire_stats *stats)
{
	struct supervisor *s = owner;

	stats_take_guest(&s->stats, stats);
}

static void on_guest_lost(void *owner, const char *sentence)
{
	struct supervisor *s = owner;

	s->guest_lost = true;
	if (sentence != NULL)
		supervisor_fail(s, sentence);
	supervisor_handle(s, EVENT_GUEST_LOST);
}

static const struct guest_calls guest_calls = {
	.hello = on_guest_hello,
	.ready = on_guest_ready,
	.output = on_guest_output,
	.exited = on_guest_exited,
	.warned = on_warned,
	.stats = on_guest_stats,
	.lost = on_guest_lost,
};

/* Managers. */

static void on_stop(void *owner, const struct wire_shutdown *stop)
{
	struct supervisor *s = owner;

	s->stop = *stop;
	if (s->stop.signal == 0)
		s->stop.signal = (uint32_t)s->plan.stop_signal;
	if (!s->exited)
		s->stop_asked = true;
	supervisor_handle(s, EVENT_STOP);
}

static void on_kill(void *owner)
{
	struct supervisor *s = owner;

	s->kill_asked = true;
	supervisor_handle(s, EVENT_KILL);
}

static void on_signal(void *owner, const struct wire_signal *signal)
{
	struct supervisor *s = owner;

	if (s->record.state == MACHINE_STATE_RUNNING && !s->exited)
		(void)!guest_send(&s->guest, WIRE_SIGNAL, &wire_signal_message, signal);
}

static void on_ask_stats(void *owner)
{
	struct supervisor *s = owner;

	stats_ask(&s->stats);
}

static const char *refuse_session(void *owner)
{
	const struct supervisor *s = owner;

	if (s->record.state == MACHINE_STATE_STARTING)
		return "the machine is starting: wait until it is running";
	if (s->record.state != MACHINE_STATE_RUNNING || s->exited)
		return "the machine is stopping";
	return NULL;
}

static const struct control_calls control_calls = {
	.stop = on_stop,
	.kill = on_kill,
	.ask_stats = on_ask_stats,
	.signal = on_signal,
	.refuse_session = refuse_session,
};

/* Time. */

/*
 * The guest compares and sets its clock when it is wrong. Before HELLO it has not asked for the time
 * yet, after EXITED it does not listen any more.
 */
static void tell_time(void *owner)
{
	struct supervisor *s = owner;
	struct wire_clock clock = {.realtime_ns = (uint64_t)clock_realtime_ns()};

	if (s->guest.hello && !s->exited)
		(void)!guest_send(&s->guest, WIRE_CLOCK, &wire_clock_message, &clock);
}

/* Signals. */

static void see_children(struct supervisor *s)
{
	(void)child_reap(&s->net.child); /* its end is seen on its connection */
	if (child_reap(&s->vm.child))
		supervisor_handle(s, EVENT_VM_ENDED);
	else if (child_continued(&s->vm.child))
		tell_time(s);
}

static void on_os_signal(void *owner, int sig)
{
	struct supervisor *s = owner;
	struct wire_shutdown stop = {.timeout_ms = (uint32_t)s->config->stop.timeout_s * 1000};

	switch (sig) {
	case SIGCHLD:
		see_children(s);
		break;
	case SIGCONT: /* of this process: the VM process may have been stopped with it */
		tell_time(s);
		break;
	default:
		log_info("signal %d: stopping the machine", sig);
		on_stop(s, &stop);
		break;
	}
}

/* Starting. */

void parts_init(struct supervisor *s)
{
	loop_init(&s->loop);
	vm_init(&s->vm, &s->loop, &vm_calls, s);
	net_init(&s->net, &s->loop, &net_calls, s);
	guest_init(&s->guest, &s->loop, &guest_calls, s);
	sessions_init(&s->sessions, &s->loop, &s->guest, control_detach_session);
	control_init(&s->control, &s->loop, &s->sessions, &control_calls, s);
	stats_init(&s->stats, &s->guest, &s->net, &s->vm, &s->control, s->config->disk_path);
	wall_clock_open(&s->wall_clock, &s->loop, tell_time, s);
	s->frames_fd = -1;
	s->net_deadline_ms = INT64_MAX;
}

void parts_done(struct supervisor *s)
{
	/* Sessions before their clients, the channel to the guest after its sessions. */
	sessions_done(&s->sessions);
	control_done(&s->control);
	guest_done(&s->guest);
	net_done(&s->net);
	vm_done(&s->vm);
	wall_clock_close(&s->wall_clock);
	signals_close(&s->signals);
	fd_close(s->frames_fd);
	loop_done(&s->loop);
}

static void close_vm_fds(const struct vm_input *input)
{
	fd_close(input->control);
	fd_close(input->monitor);
	for (size_t i = 0; i < input->port_count; i++)
		fd_close(input->ports[i]);
}

/* Both ends of a socket, ours and that of the VM process. */
static int make_pair(int *ret_ours, int *ret_theirs, struct err *err)
{
	int pair[2];
	int r;

	r = fd_socketpair(pair);
	if (r < 0)
		return err_set_errno(err, -r, "cannot make a socket to the guest");
	*ret_ours = pair[0];
	*ret_theirs = pair[1];
	return 0;
}

static int prepare_control(struct supervisor *s, struct vm_input *input, struct err *err)
{
	int ours = -1, r;

	if (s->backend->control_by_path)
		return guest_listen(&s->guest, s->config->run_dir, err);
	r = make_pair(&ours, &input->control, err);
	return r < 0 ? r : guest_open(&s->guest, ours, err);
}

static int prepare_sessions(struct supervisor *s, struct vm_input *input, struct err *err)
{
	int ours = -1, r = 0;

	if (s->backend->listens)
		return sessions_listen(&s->sessions, s->config->run_dir, err);
	while (r >= 0 && input->port_count < PLAN_SESSION_PORTS) {
		r = make_pair(&ours, &input->ports[input->port_count], err);
		if (r < 0)
			return r;
		input->port_count++;
		r = sessions_add_port(&s->sessions, ours, err);
	}
	return r;
}

static int prepare_monitor(struct supervisor *s, struct vm_input *input, struct err *err)
{
	int ours = -1, r;

	if (!s->backend->has_monitor)
		return 0;
	r = make_pair(&ours, &input->monitor, err);
	return r < 0 ? r : sessions_add_monitor(&s->sessions, ours, PLAN_PORTS_AT_BOOT, err);
}

static int start_vm(struct supervisor *s, struct err *err)
{
	struct vm_input input = {
		.backend = s->backend,
		.plan = &s->plan,
		.config_text = s->config_text,
		.net = s->backend->takes_frames ? s->frames_fd : -1,
		.control = -1,
		.monitor = -1,
	};
	int r;

	mem_replace(&s->record.backend, s->backend->name);
	r = s->backend->check(&s->plan, err);
	if (r >= 0)
		r = prepare_control(s, &input, err);
	if (r >= 0)
		r = prepare_sessions(s, &input, err);
	if (r >= 0)
		r = prepare_monitor(s, &input, err);
	if (r >= 0)
		r = vm_start(&s->vm, &input, err);
	close_vm_fds(&input);
	s->record.vm = s->vm.child.id;
	return r;
}

static int choose_backend(struct supervisor *s, struct err *err)
{
	s->automatic = strcmp(s->config->backend, "auto") == 0;
	s->backend = s->automatic ? backends[0] : backend_find(s->config->backend);
	if (s->backend == NULL)
		return err_set(err, EINVAL, "there is no backend '%s'", s->config->backend);
	return 0;
}

/* "auto": keeps why this backend was not used. False when there is no other one. */
static bool choose_next(struct supervisor *s, const char *sentence)
{
	const struct backend *const *at = backends;
	const struct backend *next;

	while (*at != s->backend)
		at++;
	do {
		next = *++at;
	} while (next != NULL && !next->automatic);
	(void)!buf_printf(&s->unusable, "%s%s: %s", s->unusable.length > 0 ? "; " : "",
			  s->backend->name, sentence);
	if (next == NULL)
		return false;
	log_info("%s: trying %s", s->unusable.data, next->name);
	s->backend = next;
	return true;
}

static void forget_guest(struct supervisor *s)
{
	guest_done(&s->guest);
	guest_init(&s->guest, &s->loop, &guest_calls, s);
	sessions_reset(&s->sessions);
}

static int start_backend(struct supervisor *s, struct err *err)
{
	/* Known without a process of its own, on every start of a computer without one. */
	if (s->backend->needs_hypervisor && s->host.hypervisor == HOST_HYPERVISOR_NONE)
		return err_set(err, ENOTSUP, "%s", s->host.why_none.text);
	return start_vm(s, err);
}

/* The chosen backend, or with "auto" the first one from there on that can be started. */
static int start_usable(struct supervisor *s, struct err *err)
{
	int r;

	while ((r = start_backend(s, err)) < 0) {
		if (!s->automatic)
			return err_prefix(err, "%s", s->backend->name);
		if (!choose_next(s, err->text))
			return err_set(err, -r, "%s", s->unusable.data);
		forget_guest(s);
	}
	return 0;
}

static int start_net(struct supervisor *s, int frames_fd, struct err *err)
{
	int r;

	mem_replace(&s->record.guest_ip, NET_GUEST);
	r = net_start(&s->net, s->config, frames_fd, err);
	s->record.net = s->net.child.id;
	return r < 0 ? err_prefix(err, "network") : 0;
}

int parts_start(struct supervisor *s, struct err *err)
{
	_cleanup_fd_ int net_end = -1;
	int r;

	r = choose_backend(s, err);
	if (r >= 0)
		r = signals_open(&s->signals, &s->loop, on_os_signal, s, err);
	if (r >= 0 && s->plan.has_net)
		r = make_pair(&net_end, &s->frames_fd, err);
	/* The VM process prepares itself while krun-net does. */
	if (r >= 0)
		r = start_usable(s, err);
	if (r >= 0 && s->plan.has_net)
		r = start_net(s, net_end, err);
	return r;
}

int parts_start_next(struct supervisor *s, struct err *err)
{
	_cleanup_free_ char *sentence = buf_take_string(&s->next_reason);

	if (!choose_next(s, sentence))
		return err_set(err, ENOTSUP, "%s", s->unusable.data);
	forget_guest(s);
	return start_usable(s, err);
}

void parts_end(struct supervisor *s)
{
	if (s->vm.child.running)
		child_end(&s->vm.child, 0);
	vm_drain(&s->vm);
	guest_drain(&s->guest);
	sessions_end(&s->sessions, "the machine has ended");
	net_end(&s->net);
	if (s->backend != NULL && s->backend->clean != NULL)
		s->backend->clean(&s->plan);
	share_files_remove(&s->plan);
	s->frames_fd = fd_close(s->frames_fd);
}
