/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "credit.h"
#include "fd.h"
#include "ring.h"

#define HANGUP_GRACE_NS   (5 * NS_PER_S)  /* between SIGHUP and SIGKILL */
#define END_TIMEOUT_NS    (10 * NS_PER_S) /* for the host's END after our EXIT */
#define TERMINAL_DRAIN_NS (1 * NS_PER_S)
#define PORT_TIMEOUT_NS   (1 * NS_PER_S)  /* for an END that OPEN has overtaken */
#define AWAIT_TIMEOUT_NS  (10 * NS_PER_S) /* for a port that OPEN has overtaken */
#define AWAIT_INTERVAL_NS (5 * NS_PER_MS) /* not everything that is awaited is announced */
#define HOLD_NS           (20 * NS_PER_MS)
#define OUTPUTS           2
#define SPLICE_BYTES_MIN  (32 * KIB)

#define TERMINAL_END_OF_FILE '\x04'

enum session_state {
	SESSION_FREE,
	SESSION_AWAITING,
	SESSION_STARTING,
	SESSION_RUNNING,
	SESSION_DRAINING,
	SESSION_ENDING,
};

struct session {
	enum session_state state;
	uint32_t id;
	bool gone;        /* nobody reads its output any more */
	bool stdin_ended; /* the host's END of it came */
	/* A terminal whose input has ended, until its process has: closed, it would hang that up. */
	int terminal_fd;
	size_t held; /* queued bytes that may wait for more to be said, until `held_until_ns` */
	uint64_t held_until_ns;
	uint64_t kill_at_ns;
	uint64_t drain_until_ns;
	uint64_t end_until_ns;
	uint64_t look_at_ns, await_until_ns; /* AWAITING */
	size_t opening_bytes;                /* AWAITING: OPEN lies in stdin_ring */
	bool is_wide[OUTPUTS];               /* its pipe */
	struct process process;
	struct credit stdin_credit;
	struct credit output_credit[OUTPUTS];
	size_t output_left[OUTPUTS]; /* DRAINING: what was in the pipe when the process ended */
	struct channel channel;
	struct ring stdin_ring;
};

static struct session sessions[LIMIT_SESSIONS];
static bool is_closed; /* nothing begins any more */

#define FOR_EACH_SESSION(s) for (struct session *s = sessions; s < sessions + LIMIT_SESSIONS; s++)

void session_init(void)
{
	FOR_EACH_SESSION(s)
	{
		process_init(&s->process);
		s->channel.fd = -1;
		s->channel.ended = true;
		s->terminal_fd = -1;
	}
}

static int *output_fd(struct session *s, size_t output)
{
	return output == 0 ? &s->process.out_fd : &s->process.err_fd;
}

static uint8_t output_stream(size_t output)
{
	return output == 0 ? WIRE_STREAM_STDOUT : WIRE_STREAM_STDERR;
}

static void session_free(struct session *s)
{
	if (s->channel.ended || !platform_has_session_ports())
		channel_close(&s->channel);
	process_done(&s->process);
	process_init(&s->process);
	fd_close(&s->terminal_fd);
	s->state = SESSION_FREE;
	/* The memory of a burst of sessions is not kept. */
	(void)madvise(s->stdin_ring.bytes, sizeof(s->stdin_ring.bytes), MADV_DONTNEED);
}

/* The last frame of ours is queued. */
static void session_end(struct session *s)
{
	process_done(&s->process);
	s->state = SESSION_ENDING;
	/* A connection may wait for its next session. */
	s->end_until_ns =
		platform_has_session_ports() ? clock_now_ns() + END_TIMEOUT_NS : CLOCK_NEVER;
	if (s->channel.ended)
		session_free(s);
}

static void session_fail(struct session *s, const struct failure *failure)
{
	struct wire_fail fail = {.code = failure->code, .text = failure->text};

	channel_send(&s->channel, WIRE_FAIL, 0, &wire_fail_message, &fail);
	session_end(s);
}

static void session_exit(struct session *s)
{
	channel_send(&s->channel, WIRE_EXIT, 0, &wire_exited_message, &s->process.exited);
	session_end(s);
}

/*
 * All that is queued may wait a moment. The host that knows the connection does not wait for HELLO; and
 * often EXIT comes next, and one message wakes up all that are between here and the client once.
 */
static void hold_queue(struct session *s)
{
	if (s->held == 0)
		s->held_until_ns = clock_now_ns() + HOLD_NS;
	s->held = channel_queued(&s->channel);
}

static void exit_when_drained(struct session *s)
{
	if (s->state == SESSION_DRAINING && s->process.out_fd < 0 && s->process.err_fd < 0)
		session_exit(s);
}

static void close_stdin(struct session *s)
{
	fd_close(&s->process.in_fd);
	fd_close(&s->terminal_fd);
	ring_clear(&s->stdin_ring);
}

/* Nobody is there for it any more. */
static void session_hang_up(struct session *s)
{
	if (s->gone || s->state == SESSION_FREE || s->state == SESSION_ENDING)
		return;
	s->gone = true;
	s->kill_at_ns = clock_now_ns() + HANGUP_GRACE_NS;
	process_signal(&s->process, WIRE_SIGHUP);
	close_stdin(s);
	if (s->process.tty || s->state == SESSION_DRAINING) {
		fd_close(&s->process.out_fd);
		fd_close(&s->process.err_fd);
	}
	exit_when_drained(s);
}

/* ---- standard input ---- */

static void grant_stdin(struct session *s)
{
	struct wire_credit credit = {.bytes = credit_grant(&s->stdin_credit)};

	if (credit.bytes > 0)
		channel_send(&s->channel, WIRE_CREDIT, WIRE_STREAM_STDIN, &wire_credit_message,
			     &credit);
}

/* Closing a terminal would hang it up; the end of its input is a character. */
static void end_stdin(struct session *s)
{
	static const char end = TERMINAL_END_OF_FILE;

	if (s->process.in_fd >= 0 && s->process.tty && write(s->process.in_fd, &end, 1) < 0 &&
	    errno == EAGAIN)
		return; /* again when it can take it */
	if (s->process.tty && s->process.in_fd >= 0) {
		s->terminal_fd = s->process.in_fd;
		s->process.in_fd = -1;
		return;
	}
	close_stdin(s);
}

static void write_stdin(struct session *s)
{
	size_t before = s->stdin_ring.length;

	if (s->process.in_fd < 0)
		return;
	if (before > 0 && ring_write(&s->stdin_ring, s->process.in_fd) < 0 && errno != EAGAIN &&
	    errno != EINTR) {
		/* The process does not read any more: what comes is thrown away. */
		close_stdin(s);
	}
	credit_consume(&s->stdin_credit, before - s->stdin_ring.length);
	grant_stdin(s);
	if (s->stdin_ended && s->stdin_ring.length == 0)
		end_stdin(s);
}

static void take_stdin(struct session *s, const struct wire_frame *frame)
{
	if (!credit_take(&s->stdin_credit, frame->length)) {
		session_hang_up(s);
		return;
	}
	if (s->process.in_fd < 0 || !ring_put(&s->stdin_ring, frame->payload, frame->length)) {
		credit_consume(&s->stdin_credit, frame->length);
		grant_stdin(s);
		return;
	}
	write_stdin(s);
}

/* ---- output ---- */

static void discard_output(struct session *s, size_t output)
{
	uint8_t nowhere[4096];
	ssize_t n = read(*output_fd(s, output), nowhere, sizeof(nowhere));

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		fd_close(output_fd(s, output));
}

static void count_output(struct session *s, size_t output, size_t length)
{
	/* Whoever prints much is not stopped for every frame. Without it all works, too. */
	if (length >= SPLICE_BYTES_MIN && !s->is_wide[output] && !s->process.tty) {
		(void)fcntl(*output_fd(s, output), F_SETPIPE_SZ, (int)LIMIT_WINDOW_BYTES);
		s->is_wide[output] = true;
	}
	(void)credit_take(&s->output_credit[output], length);
	s->output_left[output] -= MIN(length, s->output_left[output]);
}

/* Much output that the channel can take at once need not be copied. False: it is to be read. */
static bool splice_output(struct session *s, size_t output, size_t size)
{
	int waiting = 0;
	int r;

	if (s->process.tty || platform_has_session_ports() || s->channel.connecting ||
	    channel_queued(&s->channel) > 0 || ioctl(*output_fd(s, output), FIONREAD, &waiting) < 0)
		return false;
	size = MIN(MIN((size_t)waiting, size), CHANNEL_SPLICE_BYTES_MAX);
	if (size < SPLICE_BYTES_MIN)
		return false;
	r = channel_splice(&s->channel, output == 0 ? WIRE_STDOUT : WIRE_STDERR,
			   output_stream(output), *output_fd(s, output), size);
	if (r == 0)
		count_output(s, output, size);
	return r != -EAGAIN;
}

static void send_output(struct session *s, size_t output)
{
	size_t size;
	uint8_t *data = channel_data_begin(&s->channel, &size);
	ssize_t n;

	size = MIN(size, s->output_credit[output].open);
	if (size == 0 || splice_output(s, output, size))
		return;
	n = read(*output_fd(s, output), data, size);
	if (n > 0) {
		channel_data_end(&s->channel, output == 0 ? WIRE_STDOUT : WIRE_STDERR,
				 output_stream(output), (size_t)n);
		count_output(s, output, (size_t)n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		fd_close(output_fd(s, output));
	}
}

static void read_output(struct session *s, size_t output)
{
	if (*output_fd(s, output) < 0 || s->state == SESSION_FREE)
		return;
	if (s->gone)
		discard_output(s, output);
	else
		send_output(s, output);
	/* Others may hold the pipe and print on: they are not this session's process. */
	if (s->state == SESSION_DRAINING && !s->process.tty && s->output_left[output] == 0)
		fd_close(output_fd(s, output));
	exit_when_drained(s);
}

static void begin_draining(struct session *s)
{
	s->state = SESSION_DRAINING;
	s->drain_until_ns = s->process.tty ? clock_now_ns() + TERMINAL_DRAIN_NS : CLOCK_NEVER;
	close_stdin(s);
	for (size_t i = 0; i < OUTPUTS; i++) {
		int left = 0;

		if (*output_fd(s, i) < 0 || s->process.tty)
			continue;
		if (ioctl(*output_fd(s, i), FIONREAD, &left) < 0 || left <= 0 || s->gone)
			fd_close(output_fd(s, i));
		s->output_left[i] = (size_t)MAX(left, 0);
	}
	exit_when_drained(s);
}

/* ---- frames ---- */

static void on_hello(struct session *s, const struct wire_frame *frame)
{
	struct wire_hello hello;

	if (wire_unpack(&wire_hello_message, frame->payload, frame->length, &hello) < 0 ||
	    hello.version != WIRE_VERSION)
		session_hang_up(s);
}

static void on_credit(struct session *s, const struct wire_frame *frame)
{
	struct wire_credit credit;

	if (frame->stream != WIRE_STREAM_STDOUT && frame->stream != WIRE_STREAM_STDERR)
		return;
	if (wire_unpack(&wire_credit_message, frame->payload, frame->length, &credit) == 0)
		credit_add(&s->output_credit[frame->stream == WIRE_STREAM_STDOUT ? 0 : 1],
			   credit.bytes);
}

static void on_resize(struct session *s, const struct wire_frame *frame)
{
	struct wire_resize size;

	if (wire_unpack(&wire_resize_message, frame->payload, frame->length, &size) == 0)
		process_resize(&s->process, size.rows, size.columns);
}

static void on_signal(struct session *s, const struct wire_frame *frame)
{
	struct wire_signal signal;

	if (wire_unpack(&wire_signal_message, frame->payload, frame->length, &signal) == 0)
		process_signal(&s->process, signal.signal);
}

static void on_end(struct session *s, const struct wire_frame *frame)
{
	if (frame->stream != WIRE_STREAM_STDIN || s->stdin_ended)
		return;
	s->stdin_ended = true;
	write_stdin(s);
}

static void on_hangup(struct session *s, const struct wire_frame *frame)
{
	(void)frame;
	session_hang_up(s);
}

static const struct {
	uint8_t type;
	void (*call)(struct session *s, const struct wire_frame *frame);
} handlers[] = {
	{WIRE_HELLO, on_hello},   {WIRE_STDIN, take_stdin}, {WIRE_CREDIT, on_credit},
	{WIRE_RESIZE, on_resize}, {WIRE_SIGNAL, on_signal}, {WIRE_END, on_end},
	{WIRE_HANGUP, on_hangup},
};

static void begin(struct session *s, const struct wire_open *open);

/* The next session on a connection whose last one is over. */
static void on_open(struct session *s, const struct wire_frame *frame)
{
	static struct wire_open open;

	if (is_closed)
		return;
	if (wire_unpack(&wire_open_message, frame->payload, frame->length, &open) < 0 ||
	    (open.kind == WIRE_KIND_EXEC && open.process.argv[0] == NULL)) {
		/* No session of ours can tell: the host sees the connection close. */
		channel_close(&s->channel);
		session_free(s);
		return;
	}
	begin(s, &open);
}

static void take_frame(struct session *s, const struct wire_frame *frame)
{
	if (frame->type == WIRE_END && frame->stream == WIRE_STREAM_ALL) {
		if (s->state == SESSION_ENDING)
			session_free(s);
		else
			session_hang_up(s);
		return;
	}
	if (s->state == SESSION_ENDING) {
		if (frame->type == WIRE_OPEN && !platform_has_session_ports())
			on_open(s, frame);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		if (handlers[i].type == frame->type)
			handlers[i].call(s, frame);
	}
}

/* Frames that are there; those behind an END of everything are the next session's. */
static void take_frames(struct session *s)
{
	struct wire_frame frame;

	while (s->state != SESSION_FREE && channel_next(&s->channel, &frame))
		take_frame(s, &frame);
	if (s->state == SESSION_FREE || !s->channel.ended)
		return;
	session_hang_up(s);
	if (s->state == SESSION_ENDING)
		session_free(s);
}

/* ---- the loop ---- */

static void on_channel(void *owner, short events)
{
	struct session *s = owner;

	if (s->state == SESSION_FREE)
		return;
	channel_flush(&s->channel);
	if ((events & (POLLIN | POLLHUP | POLLERR)) != 0)
		channel_receive(&s->channel);
	take_frames(s);
}

static void on_stdin(void *owner, short events)
{
	(void)events;
	write_stdin(owner);
}

static void on_stdout(void *owner, short events)
{
	(void)events;
	read_output(owner, 0);
}

static void on_stderr(void *owner, short events)
{
	(void)events;
	read_output(owner, 1);
}

static void on_status(void *owner, short events)
{
	struct session *s = owner;

	(void)events;
	process_read_status(&s->process);
	if (s->state != SESSION_STARTING)
		return;
	if (s->process.state == PROCESS_RUNNING)
		s->state = SESSION_RUNNING;
	else if (s->process.state == PROCESS_FAILED)
		session_fail(s, &s->process.failure);
}

static void watch_outputs(struct session *s, struct loop *loop)
{
	size_t room;

	if (s->state != SESSION_RUNNING && s->state != SESSION_DRAINING)
		return;
	channel_data_begin(&s->channel, &room);
	for (size_t i = 0; i < OUTPUTS; i++) {
		if (s->gone || (room > 0 && s->output_credit[i].open > 0))
			loop_watch(loop, *output_fd(s, i), POLLIN, i == 0 ? on_stdout : on_stderr,
				   s);
	}
}

static void watch_deadlines(struct session *s, struct loop *loop)
{
	if (s->gone)
		loop_wake_at(loop, s->kill_at_ns);
	if (s->state == SESSION_DRAINING)
		loop_wake_at(loop, s->drain_until_ns);
	if (s->state == SESSION_ENDING)
		loop_wake_at(loop, s->end_until_ns);
	if (s->state == SESSION_AWAITING)
		loop_wake_at(loop, s->look_at_ns);
}

static void watch_channel(struct session *s, struct loop *loop)
{
	int events;

	if (s->held > 0 && channel_queued(&s->channel) == s->held &&
	    clock_now_ns() < s->held_until_ns) {
		events = channel_events(&s->channel) & ~POLLOUT;
		loop_wake_at(loop, s->held_until_ns);
	} else {
		s->held = 0;
		channel_flush(&s->channel);
		events = channel_events(&s->channel);
	}
	loop_watch(loop, s->channel.fd, events, on_channel, s);
}

void session_watch(struct loop *loop)
{
	FOR_EACH_SESSION(s)
	{
		if (s->state == SESSION_FREE)
			continue;
		watch_channel(s, loop);
		loop_watch(loop, s->process.status_fd, POLLIN, on_status, s);
		if (s->stdin_ring.length > 0 || s->stdin_ended)
			loop_watch(loop, s->process.in_fd, POLLOUT, on_stdin, s);
		watch_outputs(s, loop);
		watch_deadlines(s, loop);
	}
}

/* Somebody else holds the terminal. A host that gives no credit is a reason to wait on. */
static void drain_timed_out(struct session *s)
{
	if (s->output_credit[0].open == 0) {
		s->drain_until_ns = clock_now_ns() + TERMINAL_DRAIN_NS;
		return;
	}
	fd_close(&s->process.out_fd);
	fd_close(&s->process.err_fd);
	exit_when_drained(s);
}

static void look_for_port(struct session *s);

void session_advance(void)
{
	uint64_t now = clock_now_ns();

	FOR_EACH_SESSION(s)
	{
		if (s->state == SESSION_FREE)
			continue;
		if (s->state == SESSION_AWAITING) {
			if (now >= s->look_at_ns)
				look_for_port(s);
			continue;
		}
		/* Sending may have found that the host is gone. */
		if (s->channel.ended)
			take_frames(s);
		if (s->gone && now >= s->kill_at_ns) {
			process_signal(&s->process, WIRE_SIGKILL);
			s->kill_at_ns = CLOCK_NEVER;
		}
		if (s->state == SESSION_DRAINING && now >= s->drain_until_ns)
			drain_timed_out(s);
		if (s->state == SESSION_ENDING && now >= s->end_until_ns) {
			channel_close(&s->channel);
			session_free(s);
		}
	}
}

/* ---- life ---- */

/* On control, OPEN can overtake the END that frees the port. */
static void wait_for_port(struct session *s)
{
	uint64_t deadline = clock_now_ns() + PORT_TIMEOUT_NS;

	channel_flush(&s->channel);
	while (s->state == SESSION_ENDING) {
		struct pollfd fd = {.fd = s->channel.fd, .events = POLLIN};

		if (poll(&fd, 1, clock_left_ms(deadline)) <= 0) {
			channel_close(&s->channel);
			session_free(s);
			return;
		}
		on_channel(s, fd.revents);
	}
}

static struct session *find_slot(const struct wire_open *open)
{
	if (platform_has_session_ports()) {
		struct session *s = &sessions[open->port < LIMIT_SESSION_PORTS ? open->port : 0];

		wait_for_port(s);
		return open->port < LIMIT_SESSION_PORTS && s->state == SESSION_FREE ? s : NULL;
	}
	FOR_EACH_SESSION(s)
	{
		if (s->state == SESSION_FREE)
			return s;
	}
	return NULL;
}

static int dial(struct session *s, uint32_t port)
{
	bool connecting = false;
	int fd;

	if (!s->channel.ended)
		return 0;
	fd = platform_session_dial(port, &connecting);
	if (fd < 0)
		return fd;
	channel_open(&s->channel, fd, connecting);
	return 0;
}

static void say_hello(struct session *s)
{
	struct wire_hello hello = {
		.version = WIRE_VERSION,
		.role = WIRE_ROLE_SESSION,
		.session = s->id,
	};

	channel_send(&s->channel, WIRE_HELLO, 0, &wire_hello_message, &hello);
}

static void begin(struct session *s, const struct wire_open *open)
{
	bool is_new = s->state == SESSION_FREE;

	s->state = SESSION_STARTING;
	s->id = open->session;
	s->gone = false;
	s->stdin_ended = open->input_ended != 0;
	s->stdin_credit = credit_receiver();
	for (size_t i = 0; i < OUTPUTS; i++) {
		s->output_credit[i] = (struct credit){.open = open->output_credit};
		s->is_wide[i] = false;
	}
	ring_clear(&s->stdin_ring);
	say_hello(s);
	s->held = 0;
	if (!is_new)
		hold_queue(s);
	if (process_open(&s->process, open, open->input_ended == 0) < 0) {
		session_fail(s, &s->process.failure);
		return;
	}
	if (s->process.state == PROCESS_RUNNING)
		s->state = SESSION_RUNNING;
	if (!s->stdin_ended)
		grant_stdin(s);
}

/* OPEN is kept where there is no standard input yet. */
static int await_port(struct session *s, const struct wire_open *open)
{
	long length = wire_pack(WIRE_OPEN, 0, &wire_open_message, open, s->stdin_ring.bytes,
				sizeof(s->stdin_ring.bytes));

	if (length < 0)
		return (int)length;
	s->state = SESSION_AWAITING;
	s->opening_bytes = (size_t)length - WIRE_HEAD_BYTES;
	s->await_until_ns = clock_now_ns() + AWAIT_TIMEOUT_NS;
	s->look_at_ns = clock_now_ns() + AWAIT_INTERVAL_NS;
	return 0;
}

static void begin_dialled(struct session *s, const struct wire_open *open, int r)
{
	if (r < 0) {
		control_warn("session %u cannot reach the host: %s", open->session, strerror(-r));
		session_free(s);
		return;
	}
	begin(s, open);
	take_frames(s);
}

static void look_for_port(struct session *s)
{
	static struct wire_open open;
	int r;

	r = wire_unpack(&wire_open_message, s->stdin_ring.bytes + WIRE_HEAD_BYTES, s->opening_bytes,
			&open);
	if (r == 0)
		r = dial(s, open.port);
	if (r == -EAGAIN && clock_now_ns() < s->await_until_ns) {
		s->look_at_ns = clock_now_ns() + AWAIT_INTERVAL_NS;
		return;
	}
	s->state = SESSION_FREE;
	begin_dialled(s, &open, r);
}

void session_open(const struct wire_open *open)
{
	struct session *s = find_slot(open);
	int r;

	if (s == NULL) {
		control_warn("session %u has no room: %s", open->session,
			     platform_has_session_ports() ? "its port is in use" : "too many");
		return;
	}
	r = dial(s, open->port);
	if (r != -EAGAIN || await_port(s, open) < 0)
		begin_dialled(s, open, r);
}

static void process_ended(struct session *s)
{
	if (s->state <= SESSION_RUNNING && s->process.state == PROCESS_FAILED)
		session_fail(s, &s->process.failure);
	else if (s->state == SESSION_STARTING || s->state == SESSION_RUNNING)
		begin_draining(s);
}

bool session_reap(pid_t pid, int status)
{
	FOR_EACH_SESSION(s)
	{
		if (s->state != SESSION_FREE && process_reap(&s->process, pid, status)) {
			process_ended(s);
			return true;
		}
	}
	return false;
}

bool session_flush_all(void)
{
	is_closed = true;
	FOR_EACH_SESSION(s)
	{
		if (s->state == SESSION_FREE)
			continue;
		if (s->state == SESSION_AWAITING) {
			session_free(s);
			continue;
		}
		channel_flush(&s->channel);
		if (s->state != SESSION_ENDING || !channel_is_flushed(&s->channel))
			return false;
	}
	return true;
}
