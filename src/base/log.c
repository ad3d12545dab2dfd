/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define LOG_LINE_BYTES_MAX 2048

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static const char *log_program = "krun";
static enum log_level log_level_max = LOG_LEVEL_INFO;

void log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_level_max = level;
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[LOG_LINE_BYTES_MAX];
	char when[CLOCK_RFC3339_BYTES];
	int head, body;
	va_list ap;
	size_t length;

	if (level > log_level_max)
		return;
	clock_format_rfc3339(clock_realtime_ns(), when);
	head = snprintf(line, sizeof(line), "%s %s %s: ", when, level_names[level], log_program);
	va_start(ap, fmt);
	body = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, ap);
	va_end(ap);
	if (body < 0)
		return;
	length = MIN((size_t)head + (size_t)body, sizeof(line) - 2);
	for (size_t i = (size_t)head; i < length; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[length++] = '\n';
	/* Nobody is left to tell when standard error is gone. */
	(void)!write(STDERR_FILENO, line, length);
}
