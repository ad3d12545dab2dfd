/* SPDX-License-Identifier: Apache-2.0 */
#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "signals.h"

static const int deadly_signals[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGABRT,
				     SIGSEGV, SIGBUS, SIGFPE, SIGILL};

static int raw_fd;
static struct termios before, raw;
static volatile sig_atomic_t is_raw;

struct terminal_size terminal_size(void)
{
	static const int fds[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
	struct winsize size;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (ioctl(fds[i], TIOCGWINSZ, &size) == 0)
			return (struct terminal_size){size.ws_row, size.ws_col};
	}
	return (struct terminal_size){0};
}

static void on_deadly_signal(int number)
{
	terminal_restore();
	signals_die(number);
}

int terminal_raw(int fd, struct err *err)
{
	struct sigaction action = {.sa_handler = on_deadly_signal}, old;

	if (tcgetattr(fd, &before) < 0)
		return err_set_errno(err, errno, "the terminal");
	raw = before;
	cfmakeraw(&raw);
	raw_fd = fd;
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(deadly_signals); i++) {
		if (sigaction(deadly_signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(deadly_signals[i], &action, NULL);
	}
	/* From here on a handler restores it, though it may not have been changed yet. */
	is_raw = 1;
	if (tcsetattr(fd, TCSADRAIN, &raw) < 0) {
		is_raw = 0;
		return err_set_errno(err, errno, "the terminal cannot be made raw");
	}
	return 0;
}

void terminal_restore(void)
{
	int saved = errno;

	if (is_raw) {
		is_raw = 0;
		/* Not waiting until the output has left: a terminal that was stopped never lets it. */
		tcsetattr(raw_fd, TCSANOW, &before);
	}
	errno = saved;
}

void terminal_resume(void)
{
	if (!is_raw)
		return;
	tcsetattr(raw_fd, TCSADRAIN, &raw);
}

void terminal_stop(void)
{
	terminal_restore();
	raise(SIGSTOP);
	is_raw = 1;
	terminal_resume();
}
