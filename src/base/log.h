/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostics of a process, one line each on standard error: time, level, program, text.
 *
 * Only programs log; library code returns errors. Each failure is logged once, by the layer that
 * decides what to do about it. Control bytes in the text are written as `?`, so that a hostile name
 * cannot forge lines.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "macro.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* `program` must outlive the process's logging. Default level is info. */
void log_init(const char *program, enum log_level level);

/* "error", "warn", "info", "debug". -EINVAL for anything else. */
int log_level_parse(const char *name, enum log_level *ret_level) _must_check_;

void log_write(enum log_level level, const char *fmt, ...) _printf_(2, 3);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
