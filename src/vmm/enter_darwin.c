/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process beside the program that is about to be executed: it waits for the end of the supervisor
 * (end of file on the link), and then kills the program, or for the end of the program.
 */
#include "enter.h"

#include <errno.h>
#include <signal.h>
#include <sys/event.h>
#include <unistd.h>

#include "base/fd.h"

static _noreturn_ void guard(pid_t program, int link_fd)
{
	int queue = kqueue();
	struct kevent wanted[2], seen;

	EV_SET(&wanted[0], (uintptr_t)program, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, NULL);
	EV_SET(&wanted[1], (uintptr_t)link_fd, EVFILT_READ, EV_ADD, 0, 0, NULL);
	/* Without a queue, and when the program is gone already, there is nothing to guard. */
	if (queue < 0 || kevent(queue, wanted, 2, NULL, 0, NULL) < 0)
		_exit(1);
	for (;;) {
		if (kevent(queue, NULL, 0, &seen, 1, NULL) < 0 && errno == EINTR)
			continue;
		if (seen.filter == EVFILT_PROC)
			_exit(0);
		if ((seen.flags & EV_EOF) != 0) {
			kill(program, SIGKILL);
			_exit(0);
		}
	}
}

int enter_guard_exec(int link_fd, struct err *err)
{
	pid_t program = getpid();
	pid_t pid = fork();
	int r;

	if (pid < 0)
		return err_set_errno(err, errno, "cannot start a guard process");
	if (pid == 0) {
		/* Only the link: the other ends must be seen to close when the program ends. */
		for (int fd = 0; fd < ENTER_FD_END; fd++) {
			if (fd != link_fd)
				close(fd);
		}
		guard(program, link_fd);
	}
	r = fd_set_cloexec(link_fd, true);
	return r < 0 ? err_set_errno(err, -r, "cannot mark the supervisor's descriptor") : 0;
}

int enter_harden(struct err *err)
{
	(void)err;
	return 0;
}
