/* SPDX-License-Identifier: Apache-2.0 */
#include "err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int errnum, const char *fmt, ...)
{
	va_list ap;

	assert(errnum > 0);
	if (err == NULL)
		return -errnum;
	err->errnum = errnum;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -errnum;
}

int err_set_errno(struct err *err, int errnum, const char *fmt, ...)
{
	va_list ap;
	size_t length;

	assert(errnum > 0);
	if (err == NULL)
		return -errnum;
	err->errnum = errnum;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	length = strlen(err->text);
	snprintf(err->text + length, sizeof(err->text) - length, ": %s", strerror(errnum));
	return -errnum;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char tail[ERR_TEXT_BYTES_MAX];
	va_list ap;
	size_t length;

	if (err == NULL || err->errnum == 0)
		return -EIO;
	memcpy(tail, err->text, sizeof(tail));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	length = strlen(err->text);
	snprintf(err->text + length, sizeof(err->text) - length, ": %s", tail);
	return -err->errnum;
}
