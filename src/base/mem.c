/* SPDX-License-Identifier: Apache-2.0 */
#include "mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *mem_or_abort(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

void *mem_zalloc(size_t bytes)
{
	return mem_or_abort(calloc(1, bytes > 0 ? bytes : 1));
}

void *mem_realloc(void *old, size_t bytes)
{
	return mem_or_abort(realloc(old, bytes > 0 ? bytes : 1));
}

void *mem_realloc_array(void *old, size_t count, size_t item_bytes)
{
	if (item_bytes != 0 && count > SIZE_MAX / item_bytes)
		abort();
	return mem_realloc(old, count * item_bytes);
}

void *mem_dup(const void *data, size_t bytes)
{
	void *copy = mem_zalloc(bytes);

	if (bytes > 0)
		memcpy(copy, data, bytes);
	return copy;
}

char *mem_strdup(const char *text)
{
	return mem_or_abort(strdup(text));
}

char *mem_strdup_or_null(const char *text)
{
	return text != NULL ? mem_strdup(text) : NULL;
}

char *mem_printf(const char *fmt, ...)
{
	char *text;
	va_list ap;
	int length;

	va_start(ap, fmt);
	length = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (length < 0)
		abort();
	return text;
}

void mem_replace(char **string, const char *text)
{
	char *copy = mem_strdup_or_null(text);

	free(*string);
	*string = copy;
}
