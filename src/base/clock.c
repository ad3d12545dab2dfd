/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#define YEAR_10000_S 253402300800LL

static int64_t clock_read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * CLOCK_NS_PER_S + ts.tv_nsec;
}

int64_t clock_monotonic_ms(void)
{
	return clock_read_ns(CLOCK_MONOTONIC) / CLOCK_NS_PER_MS;
}

int64_t clock_monotonic_us(void)
{
	return clock_read_ns(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_realtime_ns(void)
{
	return clock_read_ns(CLOCK_REALTIME);
}

int clock_left_ms(int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_monotonic_ms();

	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

void clock_format_rfc3339(int64_t realtime_ns, char ret_text[CLOCK_RFC3339_BYTES])
{
	int64_t s = realtime_ns / CLOCK_NS_PER_S;
	int64_t ns = realtime_ns % CLOCK_NS_PER_S;
	struct tm tm;
	time_t t;
	size_t n;

	if (realtime_ns < 0)
		s = ns = 0;
	if (s >= YEAR_10000_S)
		s = YEAR_10000_S - 1;
	t = (time_t)s;
	gmtime_r(&t, &tm);
	n = strftime(ret_text, CLOCK_RFC3339_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret_text + n, CLOCK_RFC3339_BYTES - n, ".%09dZ", (int)ns);
}

/* Reads exactly `count` digits and moves `*text` past them; -1 when there are fewer. */
static int take_digits(const char **text, int count)
{
	int value = 0;

	for (int i = 0; i < count; i++) {
		if (**text < '0' || **text > '9')
			return -1;
		value = value * 10 + (*(*text)++ - '0');
	}
	return value;
}

/* Reads ".digits" if it is there; digits past the ninth are dropped. */
static int take_fraction(const char **text, int64_t *ret_ns)
{
	int64_t ns = 0, unit = CLOCK_NS_PER_S;

	*ret_ns = 0;
	if (**text != '.')
		return 0;
	(*text)++;
	if (**text < '0' || **text > '9')
		return -EINVAL;
	for (; **text >= '0' && **text <= '9'; (*text)++) {
		unit /= 10;
		ns += unit * (**text - '0');
	}
	*ret_ns = ns;
	return 0;
}

static int take_zone(const char **text, int64_t *ret_offset_s)
{
	int sign, hours, minutes;

	if (**text == 'Z' || **text == 'z') {
		(*text)++;
		*ret_offset_s = 0;
		return 0;
	}
	if (**text != '+' && **text != '-')
		return -EINVAL;
	sign = *(*text)++ == '-' ? -1 : 1;
	hours = take_digits(text, 2);
	if (hours < 0 || hours > 23 || *(*text)++ != ':')
		return -EINVAL;
	minutes = take_digits(text, 2);
	if (minutes < 0 || minutes > 59)
		return -EINVAL;
	*ret_offset_s = sign * (hours * 3600LL + minutes * 60LL);
	return 0;
}

static int parse_epoch(const char *text, int64_t *ret_realtime_ns)
{
	int64_t s = 0, ns;

	for (; *text >= '0' && *text <= '9'; text++) {
		s = s * 10 + (*text - '0');
		if (s >= YEAR_10000_S)
			return -EINVAL;
	}
	if (take_fraction(&text, &ns) < 0 || *text != '\0')
		return -EINVAL;
	if (s > INT64_MAX / CLOCK_NS_PER_S - 1)
		return -EINVAL;
	*ret_realtime_ns = s * CLOCK_NS_PER_S + ns;
	return 0;
}

static bool tm_in_range(const struct tm *tm)
{
	return tm->tm_year >= 70 && tm->tm_year <= 361 && tm->tm_mon >= 0 && tm->tm_mon <= 11 &&
	       tm->tm_mday >= 1 && tm->tm_mday <= 31 && tm->tm_hour >= 0 && tm->tm_hour <= 23 &&
	       tm->tm_min >= 0 && tm->tm_min <= 59 && tm->tm_sec >= 0 && tm->tm_sec <= 60;
}

int clock_parse(const char *text, int64_t *ret_realtime_ns)
{
	const char *p = text;
	struct tm tm = {0};
	int64_t ns, offset_s;
	int digits = 0;

	while (text[digits] >= '0' && text[digits] <= '9')
		digits++;
	if (digits == 0)
		return -EINVAL;
	if (text[digits] != '-')
		return parse_epoch(text, ret_realtime_ns);

	tm.tm_year = take_digits(&p, 4) - 1900;
	if (*p++ != '-')
		return -EINVAL;
	tm.tm_mon = take_digits(&p, 2) - 1;
	if (tm.tm_mon < 0 || *p++ != '-')
		return -EINVAL;
	tm.tm_mday = take_digits(&p, 2);
	if (tm.tm_mday < 0 || (*p != 'T' && *p != 't' && *p != ' '))
		return -EINVAL;
	p++;
	tm.tm_hour = take_digits(&p, 2);
	if (tm.tm_hour < 0 || *p++ != ':')
		return -EINVAL;
	tm.tm_min = take_digits(&p, 2);
	if (tm.tm_min < 0 || *p++ != ':')
		return -EINVAL;
	tm.tm_sec = take_digits(&p, 2);
	if (!tm_in_range(&tm) || take_fraction(&p, &ns) < 0 || take_zone(&p, &offset_s) < 0 ||
	    *p != '\0')
		return -EINVAL;
	*ret_realtime_ns = ((int64_t)timegm(&tm) - offset_s) * CLOCK_NS_PER_S + ns;
	return 0;
}
