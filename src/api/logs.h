/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a machine's log (machine/log_file.h) while it is being written and rotated. In slices:
 * each step reads at most LOGS_SLICE_BYTES, so that a long log holds up nobody. Knows no HTTP and no
 * loop.
 *
 * A reader holds the file that it reads open and knows it by its inode. At its end it looks whether
 * that file is still machine.log; if not, it was renamed after its last line, and the next newer one
 * follows. Whole lines only; one that is none of ours (torn by a crash) is skipped.
 */
#ifndef API_LOGS_H
#define API_LOGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "machine/log_file.h"

#define LOGS_SLICE_BYTES 65536
#define LOGS_STREAM_ALL                                                                            \
	((1U << LOG_STREAM_STDOUT) | (1U << LOG_STREAM_STDERR) | (1U << LOG_STREAM_CONSOLE))
#define LOGS_TAIL_WHOLE (-1)

struct logs_filter {
	unsigned streams; /* 1 << enum log_stream */
	int64_t since_ns; /* 0: from the beginning */
	int64_t until_ns; /* 0: to the end; records of that moment are in */
};

enum logs_outcome {
	LOGS_MORE, /* call again */
	LOGS_END,  /* all that is written was given; more may come */
	LOGS_PAST, /* `until` was reached */
};

struct logs_reader {
	char *directory;
	struct logs_filter filter;
	int fd;
	ino_t inode;
	off_t offset;
	bool resync;       /* in a line that is too long: drop up to its end */
	long long tail;    /* lines wanted; LOGS_TAIL_WHOLE */
	long long matched; /* while looking for the tail's beginning */
	unsigned seen_streams;
	bool seeking;
};

/* `tail`: begin that many lines before the end, or LOGS_TAIL_WHOLE. */
void logs_open(struct logs_reader *reader, const char *directory, const struct logs_filter *filter,
	       long long tail);
void logs_close(struct logs_reader *reader);

/* One slice into `buffer` (LOGS_SLICE_BYTES). A negative errno when the log cannot be read. */
int logs_step(struct logs_reader *reader, char *buffer,
	      void (*each)(void *user, const struct log_record *record), void *user) _must_check_;

#endif
