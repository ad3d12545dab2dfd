/* SPDX-License-Identifier: Apache-2.0 */
#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int failure_set(struct failure *failure, uint32_t code, const char *format, ...)
{
	va_list args;

	failure->code = code;
	va_start(args, format);
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	va_end(args);
	return -1;
}

static void set_with_reason(struct failure *failure, uint32_t code, const char *why,
			    const char *format, va_list args)
{
	size_t length;

	failure->code = code;
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	length = strlen(failure->text);
	snprintf(failure->text + length, sizeof(failure->text) - length, ": %s", why);
}

int failure_set_errno(struct failure *failure, uint32_t code, const char *format, ...)
{
	const char *why = strerror(errno);
	va_list args;

	va_start(args, format);
	set_with_reason(failure, code, why, format, args);
	va_end(args);
	return -1;
}

int failure_set_error(struct failure *failure, uint32_t code, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_with_reason(failure, code, strerror(error), format, args);
	va_end(args);
	return -1;
}
