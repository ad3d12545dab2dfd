/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error that a user may read: an errno and a sentence, on the caller's stack.
 *
 * Low layers return a negative errno. A layer whose failure a user can see takes a `struct err *`
 * as its last argument, fills it and returns the negative errno; on the way up, context is put in
 * front with err_prefix(). The sentence says what failed and, where there is one, the way out. It
 * carries no newline and no final full stop. A NULL `struct err *` is allowed everywhere.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "macro.h"

#define ERR_TEXT_BYTES_MAX 1024

struct err {
	int errnum; /* positive errno, 0 when no error was set */
	char text[ERR_TEXT_BYTES_MAX];
};

/* Sets the error and returns -errnum. `errnum` must be positive. Too long a text is cut. */
int err_set(struct err *err, int errnum, const char *fmt, ...) _printf_(3, 4);

/* Like err_set, and appends ": " and strerror(errnum). */
int err_set_errno(struct err *err, int errnum, const char *fmt, ...) _printf_(3, 4);

/* Puts "<text>: " in front of the sentence. Returns -err->errnum (-EIO for NULL or an unset one). */
int err_prefix(struct err *err, const char *fmt, ...) _printf_(2, 3);

#endif
