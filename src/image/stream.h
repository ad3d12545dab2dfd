/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that are pulled, one piece after the other: a file, a member of a tar file, the
 * decompressed form of another stream. Also the one way here to start a libarchive reader, which
 * pulls from such a stream.
 */
#ifndef IMAGE_STREAM_H
#define IMAGE_STREAM_H

#include <archive.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fault.h"

struct stream {
	/*
	 * The next piece, which stays valid until the next call; 0 at the end, and again after it;
	 * -1 with the fault.
	 */
	ssize_t (*read)(struct stream *stream, const void **ret_data, struct fault *fault);
	/* Passes over up to `bytes` and says how many; NULL where that is no cheaper than reading. */
	int64_t (*skip)(struct stream *stream, int64_t bytes);
};

enum compression {
	COMPRESSION_NONE,
	COMPRESSION_GZIP,
	COMPRESSION_ZSTD,
	COMPRESSION_OTHER, /* known, and not supported */
};

/* By the first bytes; a few will do. */
enum compression stream_detect(const void *data, size_t bytes);

/* A regular file from an offset on; reads with pread, so the descriptor's position stays. */
struct file_stream {
	struct stream stream;
	int fd; /* not owned */
	uint64_t offset;
	uint8_t *buffer;
};

void file_stream_init(struct file_stream *file, int fd, uint64_t offset);
void file_stream_done(struct file_stream *file);

/* A libarchive reader over a stream. It must be closed before the stream. */
struct reader {
	struct archive *archive;
	struct stream *from;
	struct fault *fault;
};

/* Tar only, and only for archives whose names do not matter beyond ASCII (tar.h says why). */
int reader_open_tar(struct reader *reader, struct stream *from, struct fault *fault) _must_check_;
void reader_close(struct reader *reader);
/* libarchive's last complaint as a fault, unless the stream below has had one. Returns -1. */
int reader_fault(struct reader *reader, const char *what);

/* The decompressed form of a stream, by its first bytes; plain bytes pass as they are. */
struct inflate {
	struct stream stream;
	struct stream *from;
	struct stream replay; /* what the reader pulls from: `first`, then `from` */
	const void *first;
	ssize_t first_bytes;
	enum compression compression;
	struct reader reader;
};

int inflate_open(struct inflate *inflate, struct stream *from, struct fault *fault) _must_check_;
void inflate_close(struct inflate *inflate);

#endif
