/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's tar file, entry by entry: ustar, pax and GNU, as the tools that build images write
 * them and read them.
 *
 * Not libarchive, because a file's name has to stay the bytes it is: libarchive takes names in pax
 * headers for text in the locale's character set and normalises them (to composed letters on Linux,
 * to decomposed ones on a Mac), so that names change and two files of an image can become one.
 *
 * Not read: global pax headers (ignored, as container tools do) and sparse files (refused: those
 * tools do not write them). Life cycle: tar_init; tar_next and tar_read in turn; tar_done.
 */
#ifndef IMAGE_TAR_H
#define IMAGE_TAR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "limits.h"
#include "stream.h"
#include "tree.h"

#define TAR_BLOCK_BYTES 512

enum tar_type {
	TAR_TYPE_FILE,
	TAR_TYPE_HARDLINK,
	TAR_TYPE_SYMLINK,
	TAR_TYPE_CHAR,
	TAR_TYPE_BLOCK,
	TAR_TYPE_DIRECTORY,
	TAR_TYPE_FIFO,
};

struct tar_entry {
	enum tar_type type;
	char path[IMAGE_PATH_BYTES_MAX + 1];
	char target[IMAGE_PATH_BYTES_MAX + 1]; /* of a link */
	uint64_t bytes;                        /* of its contents; 0 for all but files */
	uint32_t mode;
	int64_t uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t major, minor;
	struct xattr *xattrs; /* tar_next() frees what nobody has taken */
};

struct tar {
	struct stream *from;
	const uint8_t *piece; /* of the stream, what is not used of it */
	size_t piece_bytes;
	uint64_t data_bytes;                    /* of the current entry that are left */
	uint64_t padding_bytes;                 /* behind them */
	struct buf pax, long_path, long_target; /* what was said in front of the current entry */
	struct tar_entry entry;
};

void tar_init(struct tar *tar, struct stream *from);
void tar_done(struct tar *tar);

/* 1 and the next entry, which is the tar's and valid until the next call; 0 at the end; -1. */
int tar_next(struct tar *tar, struct tar_entry **ret_entry, struct fault *fault) _must_check_;

/* The next piece of the current entry's contents, 0 behind the last one. */
ssize_t tar_read(struct tar *tar, const void **ret_data, struct fault *fault) _must_check_;

#endif
