/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's tar file, entry by entry, pulled out of a stream: wire/tar.h does the reading.
 *
 * Not libarchive, because a file's name has to stay the bytes it is: libarchive takes names in pax
 * headers for text in the locale's character set and normalises them (to composed letters on Linux,
 * to decomposed ones on a Mac), so that names change and two files of an image can become one.
 *
 * Sparse files are refused: the tools that make images do not write them. Life cycle: tar_init;
 * tar_next and tar_read in turn; tar_done.
 */
#ifndef IMAGE_TAR_H
#define IMAGE_TAR_H

#include <sys/types.h>

#include "stream.h"
#include "wire/tar.h"

struct tar {
	struct stream *from;
	const uint8_t *piece; /* of the stream, what is not used of it */
	size_t piece_bytes;
	bool in_entry; /* whose end has not been seen */
	void *room;
	struct wire_tar_reader reader;
};

void tar_init(struct tar *tar, struct stream *from);
void tar_done(struct tar *tar);

/* 1 and the next entry, which is the tar's and valid until the next call; 0 at the end; -1. */
int tar_next(struct tar *tar, const struct wire_tar_entry **ret_entry,
	     struct fault *fault) _must_check_;

/* The next piece of the current entry's contents, 0 behind the last one. */
ssize_t tar_read(struct tar *tar, const void **ret_data, struct fault *fault) _must_check_;

#endif
