/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "limits.h"

#define FILE_STEP_BYTES (256 * KIB)

/* ---- files ---- */

static ssize_t read_file(struct stream *stream, const void **ret_data, struct fault *fault)
{
	struct file_stream *file = (struct file_stream *)stream;
	ssize_t n;

	do {
		n = pread(file->fd, file->buffer, FILE_STEP_BYTES, (off_t)file->offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return fault_set_errno(fault, errno, "cannot read the archive");
	file->offset += (uint64_t)n;
	*ret_data = file->buffer;
	return n;
}

static int64_t skip_file(struct stream *stream, int64_t bytes)
{
	struct file_stream *file = (struct file_stream *)stream;

	if (bytes <= 0 || (uint64_t)bytes > INT64_MAX - file->offset)
		return 0;
	file->offset += (uint64_t)bytes;
	return bytes;
}

void file_stream_init(struct file_stream *file, int fd, uint64_t offset)
{
	*file = (struct file_stream){
		.stream = {.read = read_file, .skip = skip_file},
		.fd = fd,
		.offset = offset,
		.buffer = mem_zalloc(FILE_STEP_BYTES),
	};
}

void file_stream_done(struct file_stream *file)
{
	free(file->buffer);
	*file = (struct file_stream){.fd = -1};
}

/* ---- readers ---- */

static la_ssize_t on_read(struct archive *archive, void *context, const void **ret_data)
{
	struct reader *reader = context;
	ssize_t n = reader->from->read(reader->from, ret_data, reader->fault);

	if (n < 0)
		archive_set_error(archive, EIO, "%s", reader->fault->text);
	return n;
}

static la_int64_t on_skip(struct archive *archive, void *context, la_int64_t bytes)
{
	struct reader *reader = context;

	return reader->from->skip != NULL ? reader->from->skip(reader->from, bytes) : 0;
}

/* Makes the reader; the caller says which formats and filters, then opens it. */
static void reader_new(struct reader *reader, struct stream *from, struct fault *fault)
{
	*reader = (struct reader){.archive = archive_read_new(), .from = from, .fault = fault};
	if (reader->archive == NULL)
		abort();
	archive_read_set_callback_data(reader->archive, reader);
	archive_read_set_read_callback(reader->archive, on_read);
	archive_read_set_skip_callback(reader->archive, on_skip);
}

void reader_close(struct reader *reader)
{
	if (reader->archive != NULL)
		archive_read_free(reader->archive);
	reader->archive = NULL;
}

int reader_fault(struct reader *reader, const char *what)
{
	const char *text = archive_error_string(reader->archive);

	return fault_set(reader->fault, FAULT_ARCHIVE_BROKEN, "%s: %s", what,
			 text != NULL ? text : "damaged");
}

int reader_open_tar(struct reader *reader, struct stream *from, struct fault *fault)
{
	reader_new(reader, from, fault);
	archive_read_support_format_tar(reader->archive);
	/* On a Mac ._NAME would be taken for metadata of NAME. */
	if (archive_read_set_format_option(reader->archive, "tar", "mac-ext", NULL) < ARCHIVE_OK ||
	    archive_read_open1(reader->archive) < ARCHIVE_OK) {
		reader_fault(reader, "not a tar archive");
		reader_close(reader);
		return -1;
	}
	return 0;
}

/* ---- decompression ---- */

static const struct {
	const char *magic;
	size_t bytes;
	enum compression compression;
} magics[] = {
	{"\x1f\x8b", 2, COMPRESSION_GZIP},
	{"\x28\xb5\x2f\xfd", 4, COMPRESSION_ZSTD},
	{"BZh", 3, COMPRESSION_OTHER},
	{"\xfd\x37zXZ", 5, COMPRESSION_OTHER},
	{"\x04\x22\x4d\x18", 4, COMPRESSION_OTHER},
	{"PK\x03\x04", 4, COMPRESSION_OTHER},
};

enum compression stream_detect(const void *data, size_t bytes)
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		if (bytes >= magics[i].bytes && memcmp(data, magics[i].magic, magics[i].bytes) == 0)
			return magics[i].compression;
	}
	return COMPRESSION_NONE;
}

static ssize_t read_replay(struct stream *stream, const void **ret_data, struct fault *fault)
{
	struct inflate *inflate =
		(struct inflate *)((char *)stream - offsetof(struct inflate, replay));
	ssize_t n = inflate->first_bytes;

	if (n == 0)
		return inflate->from->read(inflate->from, ret_data, fault);
	inflate->first_bytes = 0;
	*ret_data = inflate->first;
	return n;
}

static ssize_t read_plain(struct stream *stream, const void **ret_data, struct fault *fault)
{
	struct inflate *inflate = (struct inflate *)stream;

	return read_replay(&inflate->replay, ret_data, fault);
}

static ssize_t read_inflated(struct stream *stream, const void **ret_data, struct fault *fault)
{
	struct inflate *inflate = (struct inflate *)stream;
	la_int64_t offset;
	size_t bytes;
	int r;

	if (inflate->reader.archive == NULL)
		return 0;
	do {
		r = archive_read_data_block(inflate->reader.archive, ret_data, &bytes, &offset);
	} while (r == ARCHIVE_OK && bytes == 0);
	if (r == ARCHIVE_OK)
		return (ssize_t)bytes;
	if (r != ARCHIVE_EOF)
		return reader_fault(&inflate->reader, "the compressed data is damaged");
	return 0;
}

static int open_filter(struct inflate *inflate, struct fault *fault)
{
	struct reader *reader = &inflate->reader;
	struct archive_entry *entry;
	int r;

	reader_new(reader, &inflate->replay, fault);
	archive_read_support_format_raw(reader->archive);
	/* Exactly one filter: libarchive alone would go on for as long as it recognises something. */
	r = archive_read_append_filter(reader->archive, inflate->compression == COMPRESSION_GZIP
								? ARCHIVE_FILTER_GZIP
								: ARCHIVE_FILTER_ZSTD);
	if (r == ARCHIVE_OK)
		r = archive_read_open1(reader->archive);
	if (r == ARCHIVE_OK)
		r = archive_read_next_header(reader->archive, &entry);
	if (r < ARCHIVE_OK)
		reader_fault(reader, "the compressed data is damaged");
	if (r != ARCHIVE_OK)
		reader_close(reader);
	return r < ARCHIVE_OK ? -1 : 0;
}

int inflate_open(struct inflate *inflate, struct stream *from, struct fault *fault)
{
	*inflate = (struct inflate){
		.stream = {.read = read_inflated},
		.from = from,
		.replay = {.read = read_replay},
	};
	inflate->first_bytes = from->read(from, &inflate->first, fault);
	if (inflate->first_bytes < 0)
		return -1;
	inflate->compression = stream_detect(inflate->first, (size_t)inflate->first_bytes);
	if (inflate->compression == COMPRESSION_OTHER)
		return fault_set(
			fault, FAULT_ARCHIVE_UNSUPPORTED,
			"compressed in a way that is not supported: use gzip, zstd or none");
	if (inflate->compression == COMPRESSION_NONE) {
		inflate->stream.read = read_plain;
		return 0;
	}
	return open_filter(inflate, fault);
}

void inflate_close(struct inflate *inflate)
{
	reader_close(&inflate->reader);
}
