/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"

#include <errno.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"

#define STAMP_BYTES 8 /* of an OUTPUT frame: the time */

static struct process process;
static struct channel *control;

void workload_init(struct channel *control_channel)
{
	control = control_channel;
	process_init(&process);
}

void workload_start(const struct wire_process *what)
{
	/* A failure is in its state. */
	(void)process_start(&process, PROCESS_WORKLOAD, what, false);
}

const struct process *workload_process(void)
{
	return &process;
}

void workload_signal(uint32_t number)
{
	process_signal(&process, number);
}

bool workload_reap(pid_t pid, int status)
{
	return process_reap(&process, pid, status);
}

static void discard_output(int *fd)
{
	uint8_t nowhere[4096];
	ssize_t n = read(*fd, nowhere, sizeof(nowhere));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		fd_close(fd);
}

static void read_output(int *fd, uint8_t stream)
{
	uint8_t *data;
	size_t size;
	ssize_t n;

	if (*fd < 0)
		return;
	if (control->ended) {
		discard_output(fd);
		return;
	}
	data = channel_data_begin(control, &size);
	if (size == 0)
		return;
	n = read(*fd, data + STAMP_BYTES, size - STAMP_BYTES);
	if (n > 0) {
		wire_put_u64(data, clock_now_ns());
		channel_data_end(control, WIRE_OUTPUT, stream, STAMP_BYTES + (size_t)n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		/* A terminal without any user left says EIO. */
		fd_close(fd);
	}
}

static void on_stdout(void *owner, short events)
{
	(void)owner;
	(void)events;
	read_output(&process.out_fd, WIRE_STREAM_STDOUT);
}

static void on_stderr(void *owner, short events)
{
	(void)owner;
	(void)events;
	read_output(&process.err_fd, WIRE_STREAM_STDERR);
}

static void on_status(void *owner, short events)
{
	(void)owner;
	(void)events;
	process_read_status(&process);
}

void workload_watch(struct loop *loop)
{
	size_t room = 0;

	loop_watch(loop, process.status_fd, POLLIN, on_status, NULL);
	/* READY comes before all output. */
	if (process.state == PROCESS_STARTING)
		return;
	if (!control->ended)
		channel_data_begin(control, &room);
	if (room > 0 || control->ended) {
		loop_watch(loop, process.out_fd, POLLIN, on_stdout, NULL);
		loop_watch(loop, process.err_fd, POLLIN, on_stderr, NULL);
	}
}

bool workload_is_drained(void)
{
	return process.out_fd < 0 && process.err_fd < 0;
}
