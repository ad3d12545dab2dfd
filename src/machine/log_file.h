/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a machine: where it lies and how a line of it looks. krun-vmm writes it, krun-api reads
 * it.
 *
 * Format is CRI's: "<RFC 3339 with nanoseconds> <stream> <F|P> <text>\n"; stream is stdout, stderr
 * or console; P marks a part of a line whose rest comes in a later record of the same stream (a
 * record's text is at most LOG_TEXT_BYTES_MAX). The newest records are in log/machine.log; when it
 * reaches its maximum it is renamed to machine.log.1, that to machine.log.2, and so on.
 */
#ifndef MACHINE_LOG_FILE_H
#define MACHINE_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

#define LOG_DIRECTORY      "log"
#define LOG_FILE           "machine.log"
#define LOG_TEXT_BYTES_MAX 16384
/* Time, stream, tag, spaces, newline around a text. */
#define LOG_RECORD_BYTES_MAX (LOG_TEXT_BYTES_MAX + 64)

enum log_stream {
	LOG_STREAM_STDOUT,
	LOG_STREAM_STDERR,
	LOG_STREAM_CONSOLE,
};

struct log_record {
	int64_t realtime_ns;
	enum log_stream stream;
	bool partial;
	const char *text; /* into the parsed line, without newline */
	size_t length;
};

const char *log_stream_name(enum log_stream stream);
int log_stream_parse(const char *name, size_t length, enum log_stream *ret_stream) _must_check_;

/* Parses one line (without its newline). -EBADMSG when it is none of ours. */
int log_record_parse(const char *line, size_t length, struct log_record *ret_record) _must_check_;

/* Head of a record into `ret_head` (64 bytes); returns its length. The text and "\n" follow it. */
size_t log_record_head(int64_t realtime_ns, enum log_stream stream, bool partial,
		       char ret_head[64]);

#endif
