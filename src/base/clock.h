/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Deadlines are monotonic milliseconds; what users see is wall-clock nanoseconds since the
 * epoch, UTC, written as RFC 3339.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#include "macro.h"

/* "2026-11-22T20:11:21.123456789Z" and its NUL. */
#define CLOCK_RFC3339_BYTES 31

#define CLOCK_NS_PER_MS 1000000LL
#define CLOCK_NS_PER_S  1000000000LL

int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
int64_t clock_realtime_ns(void);

/* Milliseconds until `deadline_ms` for poll(2): 0 when it is past, never negative. */
int clock_left_ms(int64_t deadline_ms);

/* Writes nine decimals. Times before 1970 or after 9999 are written as the nearest of these. */
void clock_format_rfc3339(int64_t realtime_ns, char ret_text[CLOCK_RFC3339_BYTES]);

/*
 * Reads "YYYY-MM-DDThh:mm:ss[.fraction](Z|+hh:mm|-hh:mm)", the whole string. Also takes plain
 * seconds since the epoch ("1700000000", with an optional fraction). -EINVAL otherwise.
 */
int clock_parse(const char *text, int64_t *ret_realtime_ns) _must_check_;

#endif
