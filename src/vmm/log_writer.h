/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a machine (machine/log_file.h): bytes in, CRI records out, files rotated by size.
 *
 * Lines are put together for each stream. A line without its end waits a moment for the rest; then,
 * when it is too long for one record, or at the end, it is written as a partial record: what is read
 * back is what was printed, byte for byte. Records are written whole or not at all.
 *
 * Writing never fails towards the caller and never ends a machine: what cannot be written (a full
 * disk) is dropped and counted, and as soon as there is room again a record on the console stream
 * says how much is missing. A guest that prints without end costs `files` times `bytes_max` of disk.
 */
#ifndef VMM_LOG_WRITER_H
#define VMM_LOG_WRITER_H

#include "base/buf.h"
#include "base/err.h"
#include "machine/log_file.h"

#define LOG_WRITER_STREAMS 3

struct log_writer {
	char *path; /* of the newest file */
	int fd;
	uint64_t file_bytes, file_bytes_max;
	unsigned files;
	struct buf lines[LOG_WRITER_STREAMS]; /* what waits for its newline */
	int64_t flush_at_ms; /* when these are written as they are; INT64_MAX: none */
	struct buf batch;    /* records of one call, written with one write(2) */
	size_t batch_records;
	uint64_t lost_records;
	int error;  /* errno of the last write that failed, 0 after one that worked */
	bool grown; /* set by each write; the reader clears it */
};

/* Makes `machine_dir`/log and opens the newest file there, behind what it holds already. */
int log_writer_open(struct log_writer *log, const char *machine_dir, uint64_t file_bytes_max,
		    unsigned files, struct err *err) _must_check_;
void log_writer_done(struct log_writer *log);

void log_writer_add(struct log_writer *log, enum log_stream stream, const void *data,
		    size_t length);

/* Writes lines that have waited long enough, or all of them. */
void log_writer_flush(struct log_writer *log, bool all);

/* Gives back the room of the older files, for something that matters more. */
void log_writer_drop_old(struct log_writer *log);

#endif
