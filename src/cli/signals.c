/* SPDX-License-Identifier: Apache-2.0 */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"

static int write_fd = -1;

static void on_signal(int number)
{
	char byte = (char)number;
	int saved = errno;

	/* A full pipe holds more than anybody needs. */
	(void)!write(write_fd, &byte, 1);
	errno = saved;
}

int signals_begin(const int *numbers, int *ret_fd)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
	int fds[2], r;

	r = fd_pipe(fds);
	if (r < 0)
		return r;
	for (int i = 0; i < 2 && r >= 0; i++)
		r = fd_set_nonblock(fds[i], true);
	if (r < 0) {
		fd_close(fds[0]);
		fd_close(fds[1]);
		return r;
	}
	write_fd = fds[1];
	for (; *numbers != 0; numbers++) {
		if (sigaction(*numbers, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(*numbers, &action, NULL);
	}
	*ret_fd = fds[0];
	return 0;
}

int signals_next(int fd)
{
	unsigned char byte;

	return read(fd, &byte, 1) == 1 ? byte : 0;
}

void signals_end(int fd)
{
	/* The handlers stay until the process ends, which is soon; they find no pipe. */
	write_fd = fd_close(write_fd);
	fd_close(fd);
}

void signals_die(int number)
{
	sigset_t set;

	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
	_exit(128 + number);
}
