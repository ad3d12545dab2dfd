/* SPDX-License-Identifier: Apache-2.0 */
#include "log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"

/* How long the beginning of a line waits for its rest. */
#define PARTIAL_WAIT_MS   100
#define BATCH_BYTES_MAX   (4 * LOG_RECORD_BYTES_MAX)
#define LOST_NOTICE_BYTES 128

static int open_file(struct log_writer *log)
{
	struct stat st;
	char last = '\n';

	log->fd = open(log->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log->fd < 0)
		return -errno;
	if (fstat(log->fd, &st) < 0)
		return -errno;
	log->file_bytes = (uint64_t)st.st_size;
	/* A writer that was killed may have left half a record. */
	if (st.st_size > 0 && pread(log->fd, &last, 1, st.st_size - 1) == 1 && last != '\n' &&
	    write(log->fd, "\n", 1) == 1)
		log->file_bytes++;
	return 0;
}

int log_writer_open(struct log_writer *log, const char *machine_dir, uint64_t file_bytes_max,
		    unsigned files, struct err *err)
{
	_cleanup_free_ char *directory = path_join(machine_dir, LOG_DIRECTORY);
	int r;

	*log = (struct log_writer){
		.fd = -1,
		.file_bytes_max = MAX(file_bytes_max, (uint64_t)LOG_RECORD_BYTES_MAX),
		.files = MAX(files, 1U),
		.flush_at_ms = INT64_MAX,
	};
	for (size_t i = 0; i < LOG_WRITER_STREAMS; i++)
		buf_init(&log->lines[i], LOG_TEXT_BYTES_MAX);
	buf_init(&log->batch, BATCH_BYTES_MAX);
	log->path = path_join(directory, LOG_FILE);
	r = file_mkdir_all(directory, 0700);
	if (r < 0)
		return err_set_errno(err, -r, "cannot make the log directory '%s'", directory);
	r = open_file(log);
	if (r < 0)
		return err_set_errno(err, -r, "cannot open the log '%s'", log->path);
	return 0;
}

void log_writer_done(struct log_writer *log)
{
	if (log->path != NULL)
		log_writer_flush(log, true);
	for (size_t i = 0; i < LOG_WRITER_STREAMS; i++)
		buf_done(&log->lines[i]);
	buf_done(&log->batch);
	fd_close(log->fd);
	free(log->path);
	*log = (struct log_writer){.fd = -1, .flush_at_ms = INT64_MAX};
}

static char *numbered_path(const struct log_writer *log, unsigned number)
{
	return number == 0 ? mem_strdup(log->path) : mem_printf("%s.%u", log->path, number);
}

/* machine.log becomes machine.log.1 and so on; the oldest is replaced. Alone, it starts anew. */
static void rotate(struct log_writer *log)
{
	log->fd = fd_close(log->fd);
	for (unsigned number = log->files - 1; number > 0; number--) {
		_cleanup_free_ char *from = numbered_path(log, number - 1);
		_cleanup_free_ char *to = numbered_path(log, number);

		(void)rename(from, to);
	}
	if (log->files == 1)
		(void)unlink(log->path);
	log->error = -open_file(log);
}

static void write_batch(struct log_writer *log)
{
	size_t length = log->batch.length;
	ssize_t n = -1;

	if (length == 0)
		return;
	if (log->file_bytes > 0 && log->file_bytes + length > log->file_bytes_max)
		rotate(log);
	if (log->fd < 0)
		log->error = -open_file(log);
	if (log->fd >= 0) {
		do {
			n = write(log->fd, log->batch.data, length);
		} while (n < 0 && errno == EINTR);
		log->error = n < 0 ? errno : 0;
	}
	if (n == (ssize_t)length) {
		log->file_bytes += length;
		log->grown = true;
	} else {
		/* A short write: the disk is full. Half a record is worse than none. */
		if (n >= 0) {
			log->error = ENOSPC;
			(void)!ftruncate(log->fd, (off_t)log->file_bytes);
		}
		log->lost_records += log->batch_records;
	}
	buf_clear(&log->batch);
	log->batch_records = 0;
}

static void put_record(struct log_writer *log, enum log_stream stream, bool partial,
		       const char *text, size_t length)
{
	char head[64];
	size_t head_bytes = log_record_head(clock_realtime_ns(), stream, partial, head);

	if (log->batch.length + head_bytes + length + 1 > log->batch.bytes_max)
		write_batch(log);
	/* It fits: a batch holds several records of the largest size. */
	(void)!buf_append(&log->batch, head, head_bytes);
	(void)!buf_append(&log->batch, text, length);
	(void)!buf_append_char(&log->batch, '\n');
	log->batch_records++;
}

/* Before anything else is written again: what is missing here. */
static void put_lost_notice(struct log_writer *log)
{
	char text[LOST_NOTICE_BYTES];
	uint64_t lost = log->lost_records;
	int length;

	if (lost == 0)
		return;
	length = snprintf(text, sizeof(text), "krun-vmm: %" PRIu64 " log records were lost: %s",
			  lost, strerror(log->error != 0 ? log->error : ENOSPC));
	put_record(log, LOG_STREAM_CONSOLE, false, text, (size_t)length);
	log->batch_records = 0; /* this one does not count when it is lost itself */
	write_batch(log);
	if (log->error == 0)
		log->lost_records -= lost;
}

/* The waiting beginning of the line and `text` behind it, as one record. */
static void put_line(struct log_writer *log, enum log_stream stream, bool partial, const char *text,
		     size_t length)
{
	struct buf *line = &log->lines[stream];

	if (line->length == 0) {
		put_record(log, stream, partial, text, length);
		return;
	}
	if (buf_append(line, text, length) < 0) {
		put_record(log, stream, true, line->data, line->length);
		put_record(log, stream, partial, text, length);
	} else {
		put_record(log, stream, partial, line->data, line->length);
	}
	buf_done(line);
	buf_init(line, LOG_TEXT_BYTES_MAX);
}

static void keep_partial(struct log_writer *log, enum log_stream stream, const char *text,
			 size_t length)
{
	if (length == 0)
		return;
	if (log->lines[stream].length + length > LOG_TEXT_BYTES_MAX)
		put_line(log, stream, true, "", 0);
	(void)!buf_append(&log->lines[stream], text, length);
	if (log->flush_at_ms == INT64_MAX)
		log->flush_at_ms = clock_monotonic_ms() + PARTIAL_WAIT_MS;
}

static void give_back_batch(struct log_writer *log)
{
	write_batch(log);
	buf_done(&log->batch);
	buf_init(&log->batch, BATCH_BYTES_MAX);
}

void log_writer_add(struct log_writer *log, enum log_stream stream, const void *data, size_t length)
{
	const char *p = data, *end = p + length;

	put_lost_notice(log);
	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t bytes = (size_t)((newline != NULL ? newline : end) - p);

		if (bytes > LOG_TEXT_BYTES_MAX) {
			put_line(log, stream, true, p, LOG_TEXT_BYTES_MAX);
			p += LOG_TEXT_BYTES_MAX;
			continue;
		}
		if (newline == NULL) {
			keep_partial(log, stream, p, bytes);
			break;
		}
		/* A terminal's lines end in two characters. */
		if (stream == LOG_STREAM_CONSOLE && bytes > 0 && p[bytes - 1] == '\r')
			bytes--;
		put_line(log, stream, false, p, bytes);
		p = newline + 1;
	}
	give_back_batch(log);
}

void log_writer_flush(struct log_writer *log, bool all)
{
	if (!all && clock_monotonic_ms() < log->flush_at_ms)
		return;
	log->flush_at_ms = INT64_MAX;
	put_lost_notice(log);
	for (int stream = 0; stream < LOG_WRITER_STREAMS; stream++) {
		if (log->lines[stream].length > 0)
			put_line(log, (enum log_stream)stream, true, "", 0);
	}
	give_back_batch(log);
}

void log_writer_drop_old(struct log_writer *log)
{
	for (unsigned number = 1; log->path != NULL && number < log->files; number++) {
		_cleanup_free_ char *path = numbered_path(log, number);

		(void)unlink(path);
	}
}
