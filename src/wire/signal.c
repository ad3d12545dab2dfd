/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/signal.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const char *const names[] = {
	NULL,        "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
	"SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
	"SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
	"SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS",
};

#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

static int parse_number(const char *text)
{
	int value = 0;

	for (; *text >= '0' && *text <= '9' && value <= WIRE_SIGNAL_MAX; text++)
		value = value * 10 + (*text - '0');
	return *text == '\0' && value >= 1 && value <= WIRE_SIGNAL_MAX ? value : -EINVAL;
}

int wire_signal_parse(const char *text)
{
	if (*text >= '0' && *text <= '9')
		return parse_number(text);
	for (size_t i = 1; i < NAME_COUNT; i++) {
		if (strcmp(text, names[i]) == 0 || strcmp(text, names[i] + 3) == 0)
			return (int)i;
	}
	return -EINVAL;
}

const char *wire_signal_name(int number)
{
	if (number <= 0 || (size_t)number >= NAME_COUNT)
		return NULL;
	return names[number];
}
