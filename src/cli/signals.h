/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals as bytes in a pipe, so that a loop over poll(2) sees them between other things. One loop of
 * a process at a time.
 */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include "base/macro.h"

/*
 * Takes the signals of a list that ends with 0, but for those that whoever started us wants ignored
 * (nohup). `ret_fd` is readable when one has come; it stays the caller's, and so does the end of it
 * all: signals_end().
 */
int signals_begin(const int *numbers, int *ret_fd) _must_check_;
/* The next one, 0: none. */
int signals_next(int fd) _must_check_;
void signals_end(int fd);

/* Ends this process by the signal, as if nobody had taken it. */
_noreturn_ void signals_die(int number);

#endif
