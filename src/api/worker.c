/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <uv.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "bounds.h"
#include "child.h"
#include "server.h"

#define LAST_WORDS_BYTES 600

struct worker {
	struct server *server;
	struct worker_job job;
	void *user;
	char *name; /* of the program, for sentences */
	pid_t pid;  /* 0: reaped */
	struct child *child;
	int status;
	uv_pipe_t out, err;
	uv_timer_t timer;
	unsigned handles_open, pipes_open;
	struct buf lines;
	char words[LAST_WORDS_BYTES]; /* end of standard error */
	size_t words_length;
	bool timed_out, too_long, ended;
};

static void on_handle_closed(uv_handle_t *handle)
{
	struct worker *worker = handle->data;

	if (--worker->handles_open > 0)
		return;
	buf_done(&worker->lines);
	free(worker->name);
	free(worker);
}

static void describe(struct worker *worker, struct worker_end *end)
{
	char how[64];
	char *words = worker->words, *line;

	child_describe(worker->status, how, sizeof(how));
	while (worker->words_length > 0 && words[worker->words_length - 1] == '\n')
		worker->words_length--;
	words[worker->words_length] = '\0';
	line = strrchr(words, '\n');
	if (line != NULL)
		words = line + 1;
	if (worker->timed_out)
		snprintf(end->sentence, sizeof(end->sentence), "%s was not done after %lld s",
			 worker->name, (long long)worker->job.timeout_ms / 1000);
	else if (worker->too_long)
		snprintf(end->sentence, sizeof(end->sentence), "%s wrote too long a line",
			 worker->name);
	else
		snprintf(end->sentence, sizeof(end->sentence), "%s %s%s%s", worker->name, how,
			 words[0] == '\0' ? "" : ": ", words);
}

/* Reaped, and nothing more to read. */
static void end_if_done(struct worker *worker)
{
	struct worker_end end = {0};

	if (worker->ended || worker->pid != 0 || worker->pipes_open > 0)
		return;
	worker->ended = true;
	end.ok = WIFEXITED(worker->status) && WEXITSTATUS(worker->status) == 0 &&
		 !worker->timed_out && !worker->too_long;
	describe(worker, &end);
	uv_close((uv_handle_t *)&worker->timer, on_handle_closed);
	worker->job.on_end(worker->user, &end);
}

static void close_pipe(struct worker *worker, uv_pipe_t *pipe)
{
	if (uv_is_closing((uv_handle_t *)pipe))
		return;
	worker->pipes_open--;
	uv_close((uv_handle_t *)pipe, on_handle_closed);
}

void worker_kill(struct worker *worker)
{
	if (worker->pid != 0)
		kill(worker->pid, SIGKILL); /* not reaped, so still that process */
}

static void on_timer(uv_timer_t *timer)
{
	struct worker *worker = timer->data;

	worker->timed_out = true;
	worker_kill(worker);
	/* Whoever else holds the pipes is not waited for. */
	close_pipe(worker, &worker->out);
	close_pipe(worker, &worker->err);
	end_if_done(worker);
}

static void on_exit_status(void *user, int status)
{
	struct worker *worker = user;

	worker->child = NULL;
	worker->pid = 0;
	worker->status = status;
	end_if_done(worker);
}

static void give_lines(struct worker *worker)
{
	char *line = worker->lines.data, *end;
	size_t used = 0;

	while (line != NULL && (end = memchr(line, '\n', worker->lines.length - used)) != NULL) {
		*end = '\0';
		if (worker->job.on_line != NULL)
			worker->job.on_line(worker->user, line, (size_t)(end - line));
		used += (size_t)(end - line) + 1;
		line = end + 1;
	}
	buf_consume(&worker->lines, used);
}

static void on_out(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct worker *worker = stream->data;

	if (length > 0 && buf_append(&worker->lines, buffer->base, (size_t)length) < 0) {
		worker->too_long = true;
		worker_kill(worker);
		length = UV_ENOBUFS;
	}
	if (length > 0)
		give_lines(worker);
	if (length < 0) {
		close_pipe(worker, &worker->out);
		end_if_done(worker);
	}
}

/* Keeps the end of it. */
static void on_err(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct worker *worker = stream->data;
	size_t room = sizeof(worker->words) - 1, take, keep;

	if (length < 0) {
		close_pipe(worker, &worker->err);
		end_if_done(worker);
		return;
	}
	take = MIN((size_t)length, room);
	keep = MIN(worker->words_length, room - take);
	memmove(worker->words, worker->words + worker->words_length - keep, keep);
	memcpy(worker->words + keep, buffer->base + length - take, take);
	worker->words_length = keep + take;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct worker *worker = handle->data;

	*buffer = uv_buf_init(worker->server->read_buffer, HTTP_READ_BYTES);
}

static void init_handles(struct worker *worker)
{
	uv_loop_t *loop = worker->server->loop;

	uv_pipe_init(loop, &worker->out, 0);
	uv_pipe_init(loop, &worker->err, 0);
	uv_timer_init(loop, &worker->timer);
	worker->out.data = worker;
	worker->err.data = worker;
	worker->timer.data = worker;
	worker->handles_open = 3;
	worker->pipes_open = 2;
}

static int spawn(const struct worker_job *job, pid_t *ret_pid, int ret_out[2], int ret_err[2],
		 struct err *err)
{
	struct spawn_fd fds[3];
	const struct spawn spawn = {.path = job->path,
				    .argv = job->argv,
				    .fds = fds,
				    .fd_count = ARRAY_SIZE(fds),
				    .die_with_parent = true};
	int r = fd_pipe(ret_out);

	if (r >= 0)
		r = fd_pipe(ret_err);
	if (r < 0)
		return err_set_errno(err, -r, "cannot make a pipe for '%s'", job->path);
	fds[0] = (struct spawn_fd){job->stdin_fd, 0};
	fds[1] = (struct spawn_fd){ret_out[1], 1};
	fds[2] = (struct spawn_fd){ret_err[1], 2};
	return spawn_program(&spawn, ret_pid, err);
}

int worker_start(struct server *server, const struct worker_job *job, void *user,
		 struct worker **ret_worker, struct err *err)
{
	int out[2] = {-1, -1}, errors[2] = {-1, -1};
	struct worker *worker;
	pid_t pid = 0;
	int r = spawn(job, &pid, out, errors, err);

	fd_close(out[1]);
	fd_close(errors[1]);
	if (r < 0) {
		fd_close(out[0]);
		fd_close(errors[0]);
		return r;
	}
	worker = mem_new(struct worker);
	worker->server = server;
	worker->job = *job;
	worker->user = user;
	worker->name = mem_strdup(job->argv[0]);
	worker->pid = pid;
	buf_init(&worker->lines, job->line_bytes_max + HTTP_READ_BYTES);
	init_handles(worker);
	if (uv_pipe_open(&worker->out, out[0]) < 0 || uv_pipe_open(&worker->err, errors[0]) < 0)
		worker_kill(worker); /* cannot be: told by its end */
	uv_read_start((uv_stream_t *)&worker->out, on_alloc, on_out);
	uv_read_start((uv_stream_t *)&worker->err, on_alloc, on_err);
	uv_timer_start(&worker->timer, on_timer, (uint64_t)job->timeout_ms, 0);
	worker->child = child_watch(server, pid, on_exit_status, worker);
	*ret_worker = worker;
	return 0;
}
