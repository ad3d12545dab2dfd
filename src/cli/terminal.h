/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal we were started on, while a program elsewhere uses it: raw, so that every key goes
 * there, and on each way out of this process as it was before: an ordinary end (terminal_restore), a
 * signal that ends us and a crash (handlers, which restore it and then die by the same signal). Only
 * SIGKILL leaves it raw; then `stty sane` helps.
 *
 * One terminal for the whole process.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

#include "base/err.h"
#include "base/macro.h"

struct terminal_size {
	unsigned rows, columns; /* 0: unknown */
};

/* Of the first of standard input, output and error that is a terminal. */
struct terminal_size terminal_size(void);

/* Makes it raw. The deadly signals have their handlers from here on. */
int terminal_raw(int fd, struct err *err) _must_check_;
/* Nothing where it is not raw. Keeps errno; may be called from a signal's handler. */
void terminal_restore(void);
/* Stops this process, as ^Z does, with the terminal as it was; raw again once it goes on. */
void terminal_stop(void);
/* Raw again after somebody else has stopped us and has it changed. */
void terminal_resume(void);

#endif
