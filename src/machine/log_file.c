/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/log_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define TIME_CHARS (CLOCK_RFC3339_BYTES - 1)

static const char *const stream_names[] = {
	[LOG_STREAM_STDOUT] = "stdout",
	[LOG_STREAM_STDERR] = "stderr",
	[LOG_STREAM_CONSOLE] = "console",
};

const char *log_stream_name(enum log_stream stream)
{
	return stream_names[stream];
}

int log_stream_parse(const char *name, size_t length, enum log_stream *ret_stream)
{
	for (size_t i = 0; i < ARRAY_SIZE(stream_names); i++) {
		if (strlen(stream_names[i]) == length &&
		    memcmp(stream_names[i], name, length) == 0) {
			*ret_stream = (enum log_stream)i;
			return 0;
		}
	}
	return -EINVAL;
}

int log_record_parse(const char *line, size_t length, struct log_record *ret_record)
{
	struct log_record record;
	char when[CLOCK_RFC3339_BYTES];
	const char *p = line, *end = line + length, *space;

	if (length < TIME_CHARS + 1 || line[TIME_CHARS] != ' ')
		return -EBADMSG;
	memcpy(when, line, TIME_CHARS);
	when[TIME_CHARS] = '\0';
	if (clock_parse(when, &record.realtime_ns) < 0)
		return -EBADMSG;
	p += TIME_CHARS + 1;
	space = memchr(p, ' ', (size_t)(end - p));
	if (space == NULL || log_stream_parse(p, (size_t)(space - p), &record.stream) < 0)
		return -EBADMSG;
	p = space + 1;
	if (end - p < 2 || (*p != 'F' && *p != 'P') || p[1] != ' ')
		return -EBADMSG;
	record.partial = *p == 'P';
	record.text = p + 2;
	record.length = (size_t)(end - record.text);
	*ret_record = record;
	return 0;
}

size_t log_record_head(int64_t realtime_ns, enum log_stream stream, bool partial, char ret_head[64])
{
	char when[CLOCK_RFC3339_BYTES];

	clock_format_rfc3339(realtime_ns, when);
	return (size_t)snprintf(ret_head, 64, "%s %s %c ", when, stream_names[stream],
				partial ? 'P' : 'F');
}
