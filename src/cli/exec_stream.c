/* SPDX-License-Identifier: Apache-2.0 */
#include "exec_stream.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli.h"
#include "signals.h"
#include "terminal.h"
#include "websocket.h"
#include "wire/exec_channel.h"

/* One message is taken at once, and but for what had come with it no other before its bytes have gone. */
#define OUTPUT_BYTES_MAX (WEBSOCKET_MESSAGE_BYTES_MAX + WEBSOCKET_AHEAD_BYTES)
/* What a pipe takes without blocking when poll(2) says that it takes something. */
#define PIPE_STEP_BYTES 4096
#define INPUT_BYTES     (32 * 1024)
/* Input that waits to be sent; no more is read before it has gone. */
#define INPUT_QUEUED_MAX (64 * 1024)
/* While our output is not taken we read nothing, so that no ping is answered: we say that we live. */
#define ALIVE_INTERVAL_MS 15000
/* So many interrupts the command may live through; the next one is for us. */
#define PASSED_SIGNALS_MAX 2

struct output {
	int fd;
	bool is_pipe; /* or a terminal: it may take less than we have */
	struct buf buf;
	size_t at;
};

struct run {
	const struct exec_stream *stream;
	struct client *client;
	struct websocket *websocket;
	int signal_fd;
	unsigned passed_signals;
	bool has_input;           /* there is more to read */
	struct output outputs[2]; /* standard output, standard error */
	bool is_deaf;             /* nobody reads our output */
	json_t *verdict;          /* once the command has ended */
	bool is_over;             /* the connection is */
	struct err err;
};

/* ---- from the server ---- */

static bool has_output(const struct run *run)
{
	return run->outputs[0].buf.length > 0 || run->outputs[1].buf.length > 0;
}

static void take_output(struct run *run, struct output *output, const void *data, size_t length)
{
	if (buf_append(&output->buf, data, length) < 0)
		err_set(&run->err, EPROTO, "%s sends faster than it was told to",
			client_name(run->client));
	websocket_hold(run->websocket, true);
}

static void take_verdict(struct run *run, const uint8_t *data, size_t length)
{
	if (run->verdict == NULL &&
	    json_parse((const char *)data, length, &run->verdict, &run->err) < 0)
		err_prefix(&run->err, "how the command ended, by %s", client_name(run->client));
}

static void on_message(void *user, bool text, const uint8_t *data, size_t length)
{
	struct run *run = user;

	/* Others are of a newer server, and not for us. */
	if (text || length == 0 || run->verdict != NULL)
		return;
	if (data[0] == EXEC_CHANNEL_STDOUT || data[0] == EXEC_CHANNEL_STDERR)
		take_output(run, &run->outputs[data[0] - EXEC_CHANNEL_STDOUT], data + 1,
			    length - 1);
	else if (data[0] == EXEC_CHANNEL_EXIT)
		take_verdict(run, data + 1, length - 1);
}

/* Writes what can be written without waiting, or all of it to a file. */
static void write_some(struct run *run, struct output *output)
{
	size_t length = output->buf.length - output->at;
	ssize_t n;

	n = write(output->fd, output->buf.data + output->at,
		  output->is_pipe ? MIN(length, (size_t)PIPE_STEP_BYTES) : length);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0 && errno == EPIPE) {
		run->is_deaf = true;
		return;
	}
	if (n < 0) {
		err_set_errno(&run->err, errno, "standard %s cannot be written",
			      output->fd == STDOUT_FILENO ? "output" : "error");
		return;
	}
	output->at += (size_t)n;
	if (output->at == output->buf.length) {
		buf_clear(&output->buf);
		output->at = 0;
	}
}

/* ---- to the server ---- */

static void end_input(struct run *run)
{
	static const uint8_t which = EXEC_CHANNEL_STDIN;

	run->has_input = false;
	websocket_send(run->websocket, EXEC_CHANNEL_CLOSE, &which, 1);
}

static void read_input(struct run *run)
{
	char data[INPUT_BYTES];
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	/* A terminal that is gone is the end of its input, too. */
	if (n <= 0)
		end_input(run);
	else
		websocket_send(run->websocket, EXEC_CHANNEL_STDIN, data, (size_t)n);
}

static void send_size(struct run *run)
{
	struct terminal_size size = terminal_size();
	char text[64];

	if (!run->stream->tty || size.rows == 0 || size.columns == 0)
		return;
	snprintf(text, sizeof(text), "{\"width\": %u, \"height\": %u}", size.columns, size.rows);
	websocket_send(run->websocket, EXEC_CHANNEL_RESIZE, text, strlen(text));
}

static void pass_signal(struct run *run, int number, const char *name)
{
	_cleanup_free_ char *text = mem_printf("{\"signal\": \"%s\"}", name);

	if (run->passed_signals++ >= PASSED_SIGNALS_MAX)
		signals_die(number);
	websocket_send_text(run->websocket, text);
}

static void take_signal(struct run *run, int number)
{
	switch (number) {
	case SIGWINCH:
		send_size(run);
		break;
	case SIGTSTP:
		terminal_stop();
		send_size(run);
		break;
	case SIGCONT:
		terminal_resume();
		send_size(run);
		break;
	case SIGINT:
		pass_signal(run, number, "SIGINT");
		break;
	case SIGTERM:
		pass_signal(run, number, "SIGTERM");
		break;
	case SIGQUIT:
		pass_signal(run, number, "SIGQUIT");
		break;
	}
}

/* ---- the loop ---- */

enum watched {
	WATCHED_SERVER,
	WATCHED_SIGNALS,
	WATCHED_INPUT,
	WATCHED_OUTPUT,
	WATCHED_ERRORS,
	WATCHED_COUNT,
};

static int wait_for(struct run *run, struct pollfd fds[WATCHED_COUNT])
{
	bool reads = run->has_input && !run->is_over && run->verdict == NULL &&
		     websocket_queued_bytes(run->websocket) < INPUT_QUEUED_MAX;
	bool held = has_output(run);
	int timeout_ms = held ? ALIVE_INTERVAL_MS : -1, n;

	for (int i = 0; i < WATCHED_COUNT; i++)
		fds[i] = (struct pollfd){.fd = -1};
	if (!run->is_over)
		fds[WATCHED_SERVER] = (struct pollfd){websocket_fd(run->websocket),
						      websocket_poll_events(run->websocket), 0};
	fds[WATCHED_SIGNALS] = (struct pollfd){run->signal_fd, POLLIN, 0};
	if (reads)
		fds[WATCHED_INPUT] = (struct pollfd){STDIN_FILENO, POLLIN, 0};
	for (int i = 0; i < 2; i++) {
		if (run->outputs[i].buf.length > 0)
			fds[WATCHED_OUTPUT + i] = (struct pollfd){run->outputs[i].fd, POLLOUT, 0};
	}
	if (websocket_is_ready(run->websocket) && !run->is_over)
		timeout_ms = 0;
	n = poll(fds, WATCHED_COUNT, timeout_ms);
	if (n < 0 && errno != EINTR)
		return -errno;
	if (n == 0 && held && !run->is_over)
		websocket_pong(run->websocket);
	return 0;
}

static void step_outputs(struct run *run, const struct pollfd fds[WATCHED_COUNT])
{
	for (int i = 0; i < 2; i++) {
		if (fds[WATCHED_OUTPUT + i].revents != 0)
			write_some(run, &run->outputs[i]);
	}
	if (!has_output(run))
		websocket_hold(run->websocket, false);
}

static void step_server(struct run *run, short revents)
{
	int r = websocket_step(run->websocket, revents);

	if (r == 0)
		return;
	run->is_over = true;
	if (r == -EPROTO && run->verdict == NULL)
		err_set(&run->err, EPROTO, "%s broke the rules of WebSocket",
			client_name(run->client));
}

static void step(struct run *run)
{
	struct pollfd fds[WATCHED_COUNT];
	int number, r;

	r = wait_for(run, fds);
	if (r < 0) {
		err_set_errno(&run->err, -r, "waiting for %s", client_name(run->client));
		return;
	}
	while (fds[WATCHED_SIGNALS].revents != 0 && (number = signals_next(run->signal_fd)) != 0)
		take_signal(run, number);
	if (fds[WATCHED_INPUT].revents != 0)
		read_input(run);
	step_outputs(run, fds);
	if (!run->is_over)
		step_server(run, fds[WATCHED_SERVER].revents);
}

/* ---- begin and end ---- */

static int begin(struct run *run, struct err *err)
{
	static const int with_terminal[] = {SIGWINCH, SIGTSTP, SIGCONT, 0};
	static const int without[] = {SIGWINCH, SIGINT, SIGTERM, SIGQUIT, 0};
	const struct exec_stream *stream = run->stream;
	bool raw = stream->tty && stream->interactive;
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	int r;

	sigaction(SIGPIPE, &ignore, NULL);
	r = websocket_open(run->client, stream->path, on_message, run, &run->websocket, err);
	if (r < 0)
		return r;
	r = signals_begin(raw ? with_terminal : without, &run->signal_fd);
	if (r < 0)
		return err_set_errno(err, -r, "making a pipe");
	if (raw)
		r = terminal_raw(STDIN_FILENO, err);
	if (r < 0)
		return r;
	websocket_send_text(run->websocket, stream->first);
	run->has_input = stream->interactive;
	if (!stream->interactive)
		end_input(run);
	/* It may have changed since the first message was written. */
	send_size(run);
	return 0;
}

static int judge(struct run *run, struct err *err)
{
	json_t *code = json_object_get(run->verdict, "exit_code");
	json_int_t signal = json_integer_value(json_object_get(run->verdict, "signal"));
	const char *sentence = cli_text(run->verdict, "error");

	if (run->is_deaf)
		return 128 + SIGPIPE;
	if (run->err.errnum != 0)
		return err_set(err, run->err.errnum, "%s", run->err.text);
	if (run->verdict == NULL)
		return err_set(err, ECONNRESET,
			       "%s went away before the command had ended, and has hung it up",
			       client_name(run->client));
	if (json_is_true(json_object_get(run->verdict, "timed_out")))
		return err_set(err, ETIME, "the command did not end within %lld s and was killed",
			       run->stream->timeout_s);
	if (*sentence != '\0' && !json_is_integer(code))
		return err_set(err, EIO, "%s", sentence);
	if (*sentence != '\0')
		cli_say("%s", sentence);
	if (signal > 0)
		return 128 + (int)signal;
	if (!json_is_integer(code))
		return err_set(err, EIO, "%s did not say how the command ended",
			       client_name(run->client));
	return (int)(json_integer_value(code) & 0xff);
}

static void init_output(struct output *output, int fd)
{
	struct stat st;

	output->fd = fd;
	output->is_pipe = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode);
	buf_init(&output->buf, OUTPUT_BYTES_MAX);
}

int exec_stream_run(struct client *client, const struct exec_stream *stream, struct err *err)
{
	struct run run = {.stream = stream, .client = client, .signal_fd = -1};
	int r;

	init_output(&run.outputs[0], STDOUT_FILENO);
	init_output(&run.outputs[1], STDERR_FILENO);
	r = begin(&run, err);
	while (r >= 0 && run.err.errnum == 0 && !run.is_deaf &&
	       ((run.verdict == NULL && !run.is_over) || has_output(&run)))
		step(&run);
	/* Before anything is said. */
	terminal_restore();
	if (r >= 0)
		r = judge(&run, err);
	websocket_free(run.websocket);
	signals_end(run.signal_fd);
	json_decref(run.verdict);
	buf_done(&run.outputs[0].buf);
	buf_done(&run.outputs[1].buf);
	return r;
}
