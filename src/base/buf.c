/* SPDX-License-Identifier: Apache-2.0 */
#include "buf.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"

void buf_init(struct buf *buf, size_t bytes_max)
{
	*buf = (struct buf){.bytes_max = bytes_max};
}

void buf_done(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){0};
}

int buf_reserve(struct buf *buf, size_t length, char **ret_tail)
{
	size_t need, size;

	if (length > buf->bytes_max - buf->length)
		return -ENOBUFS;
	need = buf->length + length + 1;
	if (need > buf->allocated) {
		size = MAX(need, MIN(buf->allocated * 2, buf->bytes_max + 1));
		buf->data = mem_realloc(buf->data, MAX(size, (size_t)64));
		buf->allocated = MAX(size, (size_t)64);
	}
	*ret_tail = buf->data + buf->length;
	return 0;
}

void buf_commit(struct buf *buf, size_t length)
{
	assert(buf->length + length < buf->allocated);
	buf->length += length;
	buf->data[buf->length] = '\0';
}

int buf_append(struct buf *buf, const void *data, size_t length)
{
	char *tail;
	int r;

	r = buf_reserve(buf, length, &tail);
	if (r < 0)
		return r;
	if (length > 0)
		memcpy(tail, data, length);
	buf_commit(buf, length);
	return 0;
}

int buf_append_string(struct buf *buf, const char *text)
{
	return buf_append(buf, text, strlen(text));
}

int buf_append_char(struct buf *buf, char c)
{
	return buf_append(buf, &c, 1);
}

int buf_vprintf(struct buf *buf, const char *fmt, va_list ap)
{
	va_list again;
	char *tail;
	int length, r;

	va_copy(again, ap);
	length = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	assert(length >= 0);
	r = buf_reserve(buf, (size_t)length, &tail);
	if (r < 0)
		return r;
	vsnprintf(tail, (size_t)length + 1, fmt, ap);
	buf_commit(buf, (size_t)length);
	return 0;
}

int buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = buf_vprintf(buf, fmt, ap);
	va_end(ap);
	return r;
}

void buf_consume(struct buf *buf, size_t length)
{
	assert(length <= buf->length);
	if (length == 0)
		return;
	buf->length -= length;
	memmove(buf->data, buf->data + length, buf->length + 1);
}

void buf_clear(struct buf *buf)
{
	buf->length = 0;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

char *buf_take_string(struct buf *buf)
{
	char *text = buf->data != NULL ? buf->data : mem_strdup("");

	buf_init(buf, buf->bytes_max);
	return text;
}
