/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two calls follow the machine's log, one for each stream: a text answer is the stream's own bytes.
 * What was received is counted, so that after a lost connection the same log is asked for again and
 * that much of it skipped. Logs are rotated: past ATTACH_REPLAY_BYTES_MAX their beginning may be
 * gone, counting would drop the wrong bytes, and the gap is told instead.
 */
#include "attach.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli.h"
#include "machines.h"

/* Two logs of the default size: what a third one's rotation cannot have taken away. */
#define ATTACH_REPLAY_BYTES_MAX (16ULL * 1024 * 1024)
#define STREAMS                 2
#define ENDS                    2
#define STEP_MS                 1000
#define RETRY_MS                300
/* One call to the server; longer waits are several. */
#define END_TIMEOUT_S   3600
#define ANSWER_SLACK_S  15
#define STOP_TIMEOUT_MS (86400LL * 1000)
/* Sixty seconds at the server's, and some for the answer. */
#define READY_TIMEOUT_MS 75000

struct stream {
	const char *name;
	int fd; /* where it goes */
	struct attach *attach;
	struct client_call *call;
	uint64_t received, skip;
	bool ended;
};

/* A state that the machine can end in, waited for from the start: it may be gone right after. */
struct end {
	const char *state;
	struct client_call *call;
	bool is_refused; /* it will not come to that */
};

struct attach {
	struct client *client;
	char *id;
	int signal_fds[2];
	unsigned signals; /* how many came */
	bool is_deaf;     /* nobody reads our output */
	struct stream streams[STREAMS];
	struct end ends[ENDS];
	json_t *machine; /* at its end */
	bool is_gone;    /* somebody has deleted it */
	struct client_call *stop;
	/* Until the workload runs; the call is made only for somebody who watches. */
	struct progress *progress;
	struct client_call *ready;
	int64_t lost_at_ms; /* 0: the server answers */
};

/* ---- signals ---- */

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP};
static int signal_fd = -1;

static void on_signal(int number)
{
	char byte = (char)number;
	int saved = errno;

	/* A full pipe holds more interrupts than anybody needs. */
	(void)!write(signal_fd, &byte, 1);
	errno = saved;
}

static int watch_signals(struct attach *attach, struct err *err)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	int r;

	r = fd_pipe(attach->signal_fds);
	for (int i = 0; i < 2 && r >= 0; i++)
		r = fd_set_nonblock(attach->signal_fds[i], true);
	if (r < 0)
		return err_set_errno(err, -r, "making a pipe");
	signal_fd = attach->signal_fds[1];
	for (size_t i = 0; i < ARRAY_SIZE(stop_signals); i++) {
		/* nohup's way of saying that we shall not hear it. */
		if (sigaction(stop_signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			continue;
		sigaction(stop_signals[i], &action, NULL);
	}
	sigaction(SIGPIPE, &ignore, NULL);
	return 0;
}

int attach_new(struct client *client, struct progress *progress, struct attach **ret_attach,
	       struct err *err)
{
	struct attach *attach = mem_new(struct attach);
	int r;

	attach->client = client;
	attach->progress = progress;
	attach->signal_fds[0] = attach->signal_fds[1] = -1;
	attach->streams[0] = (struct stream){.name = "stdout", .fd = STDOUT_FILENO};
	attach->streams[1] = (struct stream){.name = "stderr", .fd = STDERR_FILENO};
	attach->ends[0].state = "stopped";
	attach->ends[1].state = "failed";
	r = watch_signals(attach, err);
	if (r < 0) {
		attach_free(attach);
		return r;
	}
	*ret_attach = attach;
	return 0;
}

static void drop_calls(struct attach *attach)
{
	for (size_t i = 0; i < STREAMS; i++)
		client_end(take_ptr(attach->streams[i].call), NULL, NULL);
	for (size_t i = 0; i < ENDS; i++)
		client_end(take_ptr(attach->ends[i].call), NULL, NULL);
	client_end(take_ptr(attach->stop), NULL, NULL);
	client_end(take_ptr(attach->ready), NULL, NULL);
}

void attach_free(struct attach *attach)
{
	if (attach == NULL)
		return;
	drop_calls(attach);
	/* The handlers stay until the process ends, which is soon; they find no pipe. */
	signal_fd = -1;
	fd_close(attach->signal_fds[0]);
	fd_close(attach->signal_fds[1]);
	json_decref(attach->machine);
	free(attach->id);
	free(attach);
}

/* ---- streams ---- */

static int take_output(void *user, const char *data, size_t length)
{
	struct stream *stream = user;
	size_t skip = (size_t)MIN((uint64_t)length, stream->skip);

	stream->skip -= skip;
	data += skip;
	length -= skip;
	if (length > 0)
		progress_drop(stream->attach->progress);
	stream->received += length;
	if (length > 0 && !stream->attach->is_deaf && fd_write_all(stream->fd, data, length) < 0)
		stream->attach->is_deaf = true;
	return 0;
}

static int follow(struct attach *attach, struct stream *stream, struct err *err)
{
	bool whole = stream->received <= ATTACH_REPLAY_BYTES_MAX;
	_cleanup_free_ char *path =
		client_path(whole ? "/v1/machines/%s/logs?follow=true&source=%s"
				  : "/v1/machines/%s/logs?follow=true&source=%s&tail=0",
			    attach->id, stream->name);

	if (!whole)
		cli_say("the server was away: some of the machine's %s may be missing here, see "
			"'krunctl logs'",
			stream->name);
	stream->attach = attach;
	stream->skip = whole ? stream->received : 0;
	return client_begin(attach->client,
			    &(struct client_request){
				    .method = "GET",
				    .path = path,
				    .accept = "text/plain",
				    .sink = take_output,
				    .user = stream,
				    .timeout_ms = -1,
			    },
			    &stream->call, err);
}

static bool is_away(int r)
{
	return r == -ECONNREFUSED || r == -ECONNRESET || r == -ETIME || r == -EIO;
}

/* A call that failed because the server is away is made again, until that has lasted too long. */
static int note_failure(struct attach *attach, int r, struct err *err)
{
	int64_t now = clock_monotonic_ms();

	if (!is_away(r))
		return r;
	if (attach->lost_at_ms == 0) {
		attach->lost_at_ms = now;
		cli_say("%s; the machine runs on, looking for the server for %d s", err->text,
			ATTACH_LOST_S);
	}
	if (now - attach->lost_at_ms > ATTACH_LOST_S * 1000LL)
		return err_prefix(err, "the machine may still run: 'krunctl inspect %s'",
				  attach->id);
	poll(NULL, 0, RETRY_MS);
	return 0;
}

static int step_stream(struct attach *attach, struct stream *stream, struct err *err)
{
	int r;

	if (stream->ended)
		return 0;
	if (stream->call == NULL)
		return follow(attach, stream, err);
	if (!client_call_is_done(stream->call))
		return 0;
	r = client_end(take_ptr(stream->call), NULL, err);
	if (r == -ENOENT) {
		attach->is_gone = stream->ended = true;
		return 0;
	}
	if (r < 0)
		return note_failure(attach, r, err);
	attach->lost_at_ms = 0;
	stream->ended = true;
	return 0;
}

/* ---- stopping ---- */

static int begin_stop(struct attach *attach, bool kill, struct err *err)
{
	struct machines_stop stop = {.timeout_s = -1};
	_cleanup_free_ char *path = client_path("/v1/machines/%s/stop", attach->id);
	_cleanup_free_ char *body = NULL;

	if (kill)
		stop = (struct machines_stop){.signal = "SIGKILL", .timeout_s = 0};
	body = machines_stop_body(&stop);
	client_end(take_ptr(attach->stop), NULL, NULL);
	return client_begin(attach->client,
			    &(struct client_request){
				    .method = "POST",
				    .path = path,
				    .body = body,
				    .body_length = strlen(body),
				    .timeout_ms = STOP_TIMEOUT_MS,
			    },
			    &attach->stop, err);
}

static int step_stop(struct attach *attach, struct err *err)
{
	struct err reason = {0};
	char bytes[64];
	ssize_t n;
	int r;

	n = read(attach->signal_fds[0], bytes, sizeof(bytes));
	if (n > 0) {
		attach->signals += (unsigned)n;
		r = begin_stop(attach, attach->signals > 1, err);
		if (r < 0)
			return r;
	} else if (attach->is_deaf && attach->signals == 0) {
		attach->signals = 1;
		r = begin_stop(attach, false, err);
		if (r < 0)
			return r;
	}
	if (attach->stop == NULL || !client_call_is_done(attach->stop))
		return 0;
	r = client_end(take_ptr(attach->stop), NULL, &reason);
	if (r >= 0)
		return 0;
	if (!is_away(r)) {
		cli_say("stopping: %s", reason.text);
		return 0;
	}
	/* The stop was not heard: it is asked for again once the server is back. */
	r = note_failure(attach, r, &reason);
	if (r < 0)
		return err_set(err, reason.errnum, "%s", reason.text);
	return begin_stop(attach, attach->signals > 1, err);
}

/* ---- until it is ready ---- */

static int begin_ready(struct attach *attach, struct err *err)
{
	_cleanup_free_ char *path =
		client_path("/v1/machines/%s/wait?state=ready&timeout=60", attach->id);

	if (!attach->progress->is_live)
		return 0;
	return client_begin(attach->client,
			    &(struct client_request){
				    .method = "GET",
				    .path = path,
				    .timeout_ms = READY_TIMEOUT_MS,
			    },
			    &attach->ready, err);
}

/* However that went: the end of the machine is told elsewhere. */
static void step_ready(struct attach *attach)
{
	progress_tick(attach->progress);
	if (attach->ready == NULL || !client_call_is_done(attach->ready))
		return;
	client_end(take_ptr(attach->ready), NULL, NULL);
	progress_drop(attach->progress);
}

/* ---- the end ---- */

static int await(struct attach *attach, struct end *end, struct err *err)
{
	_cleanup_free_ char *timeout = mem_printf("%d", END_TIMEOUT_S);
	_cleanup_free_ char *path = client_path("/v1/machines/%s/wait?state=%s&timeout=%s",
						attach->id, end->state, timeout);

	return client_begin(attach->client,
			    &(struct client_request){
				    .method = "GET",
				    .path = path,
				    .timeout_ms = (END_TIMEOUT_S + ANSWER_SLACK_S) * 1000LL,
			    },
			    &end->call, err);
}

static int take_end(struct attach *attach, struct end *end, struct err *err)
{
	_cleanup_buf_ struct buf answer = {0};
	int r;

	r = client_end(take_ptr(end->call), &answer, err);
	if (r == -ENOENT || r == -EBUSY) {
		end->is_refused = true;
		attach->is_gone = attach->is_gone || r == -ENOENT;
		return 0;
	}
	if (r == -ETIMEDOUT)
		return 0;
	if (r < 0)
		return note_failure(attach, r, err);
	attach->lost_at_ms = 0;
	return json_parse(answer.data != NULL ? answer.data : "", answer.length, &attach->machine,
			  err);
}

static int step_end(struct attach *attach, struct end *end, struct err *err)
{
	if (end->is_refused || attach->machine != NULL || attach->is_gone)
		return 0;
	if (end->call == NULL)
		return await(attach, end, err);
	return client_call_is_done(end->call) ? take_end(attach, end, err) : 0;
}

static bool is_over(const struct attach *attach)
{
	return attach->streams[0].ended && attach->streams[1].ended &&
	       (attach->machine != NULL || attach->is_gone);
}

static int step_ms(const struct attach *attach)
{
	return attach->progress->title != NULL ? PROGRESS_TICK_MS : STEP_MS;
}

static int step(struct attach *attach, struct err *err)
{
	int r = 0;

	step_ready(attach);
	for (size_t i = 0; i < ENDS && r >= 0; i++)
		r = step_end(attach, &attach->ends[i], err);
	for (size_t i = 0; i < STREAMS && r >= 0; i++)
		r = step_stream(attach, &attach->streams[i], err);
	return r < 0 ? r : step_stop(attach, err);
}

int attach_run(struct attach *attach, const char *id, struct err *err)
{
	json_t *machine;
	int r;

	attach->id = mem_strdup(id);
	r = begin_ready(attach, err);
	while (r >= 0 && !is_over(attach)) {
		r = step(attach, err);
		if (r >= 0 && !is_over(attach))
			r = client_step(attach->client, attach->signal_fds[0], step_ms(attach),
					err);
	}
	if (r < 0)
		return r;
	progress_drop(attach->progress);
	machine = attach->machine;
	if (machine == NULL)
		return err_set(err, ENOENT,
			       "the machine was deleted before it could be seen how it ended");
	if (strcmp(cli_text(machine, "state"), "failed") == 0)
		cli_say("machine %s failed: %s", cli_text(machine, "name"),
			cli_text(machine, "status_reason"));
	return machines_exit_code(machine);
}
