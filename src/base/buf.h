/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte buffer that grows up to a maximum given when it is made.
 *
 * `data` always has a NUL behind `length` bytes once something was appended, so text can be used as
 * a string. An append that would pass the maximum changes nothing and returns -ENOBUFS: whoever
 * fills a buffer from outside decides there what that means. Out of memory aborts (style.md).
 *
 * Life cycle: buf_init, any number of operations, buf_done. A zeroed struct is a valid empty buffer
 * with maximum 0: buf_done() on it is harmless.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "macro.h"

struct buf {
	char *data; /* NULL until the first append */
	size_t length;
	size_t allocated;
	size_t bytes_max;
};

void buf_init(struct buf *buf, size_t bytes_max);
void buf_done(struct buf *buf);
#define _cleanup_buf_ _cleanup_(buf_done)

int buf_append(struct buf *buf, const void *data, size_t length) _must_check_;
int buf_append_string(struct buf *buf, const char *text) _must_check_;
int buf_append_char(struct buf *buf, char c) _must_check_;
int buf_printf(struct buf *buf, const char *fmt, ...) _printf_(2, 3) _must_check_;
int buf_vprintf(struct buf *buf, const char *fmt, va_list ap) _must_check_;

/*
 * Makes room for `length` more bytes and gives where they go; the caller writes there and then adds
 * what it wrote to `length` with buf_commit(). -ENOBUFS past the maximum.
 */
int buf_reserve(struct buf *buf, size_t length, char **ret_tail) _must_check_;
void buf_commit(struct buf *buf, size_t length);

/* Drops `length` bytes from the front. */
void buf_consume(struct buf *buf, size_t length);

/* Empties the buffer, keeps its memory. */
void buf_clear(struct buf *buf);

/* Hands the memory over as a NUL-terminated string (never NULL); the buffer is empty after it. */
char *buf_take_string(struct buf *buf) _must_check_;

#endif
