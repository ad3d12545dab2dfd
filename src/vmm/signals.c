/* SPDX-License-Identifier: Apache-2.0 */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/fd.h"

static const int handled[] = {SIGCHLD, SIGCONT, SIGTERM, SIGINT};

/* The handler's end of the pipe; there is one set of handlers in a process. */
static volatile sig_atomic_t write_fd = -1;

static void handle(int sig)
{
	int saved = errno;
	unsigned char byte = (unsigned char)sig;

	/* Full: then there are events enough to come to every child. */
	(void)!write(write_fd, &byte, 1);
	errno = saved;
}

static void on_ready(struct loop_watch *watch, short events)
{
	struct signals *signals = watch->owner;
	unsigned char bytes[64];
	ssize_t n = read(watch->fd, bytes, sizeof(bytes));

	(void)events;
	for (ssize_t i = 0; i < n; i++)
		signals->received(signals->owner, bytes[i]);
}

int signals_open(struct signals *signals, struct loop *loop, void (*received)(void *owner, int sig),
		 void *owner, struct err *err)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
	int fds[2];
	int r;

	r = fd_pipe(fds);
	if (r < 0)
		return err_set_errno(err, -r, "cannot make a pipe for signals");
	r = fd_set_nonblock(fds[0], true);
	if (r >= 0)
		r = fd_set_nonblock(fds[1], true);
	if (r < 0) {
		fd_close(fds[0]);
		fd_close(fds[1]);
		return err_set_errno(err, -r, "cannot make a pipe for signals");
	}
	*signals = (struct signals){
		.loop = loop,
		.watch = {.fd = fds[0], .events = POLLIN, .ready = on_ready, .owner = signals},
		.received = received,
		.owner = owner,
	};
	write_fd = fds[1];
	loop_add(loop, &signals->watch);
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(handled); i++)
		sigaction(handled[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	return 0;
}

void signals_close(struct signals *signals)
{
	int fd = signals->watch.fd;

	if (signals->loop == NULL)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(handled); i++)
		signal(handled[i], SIG_DFL);
	loop_remove(signals->loop, &signals->watch);
	fd_close(fd);
	fd_close(write_fd);
	write_fd = -1;
}
