/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the contents of files go: one block after the other into the image, from block
 * CONTENT_FIRST_BLOCK on, before anybody knows how large the image will be. ext4 keeps bitmaps and
 * inode tables wherever they are told to be (flex_bg), so they follow when everything is known, and
 * every byte is written once and in order.
 *
 * Runs of zeros become holes: the unit is CONTENT_CHUNK_BYTES, so a file has at most one extent for
 * two chunks.
 *
 * Life cycle: content_init; for each file content_begin, content_write in rising order of offsets,
 * content_end; content_finish; content_done.
 */
#ifndef IMAGE_CONTENT_H
#define IMAGE_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "tree.h"

#define IMAGE_BLOCK_BYTES   4096U
#define CONTENT_CHUNK_BYTES (64 * KIB)
/* Before it: the superblock and the group descriptors of the largest image there can be. */
#define CONTENT_FIRST_BLOCK 64U

struct content {
	int fd; /* not owned */
	uint64_t bytes_max;
	uint64_t next_block; /* the first that no file has */
	uint64_t stored_bytes;

	uint8_t *buffer; /* what is not written yet: ends at the current chunk */
	size_t pending_bytes;
	uint64_t pending_block;

	/* Of the current file. */
	uint64_t file_bytes, position;
	size_t chunk_bytes; /* of the chunk that is being filled, behind the pending bytes */
	struct extent *extents;
	uint32_t extent_count, extent_room;

	/* Blocks of files that went away. */
	struct extent *released;
	size_t released_count, released_room;
};

void content_init(struct content *content, int fd, uint64_t bytes_max);
void content_done(struct content *content);

void content_begin(struct content *content, uint64_t file_bytes);
/* Bytes between the last write and `offset` are zeros. Past the file's size is a broken archive. */
int content_write(struct content *content, uint64_t offset, const void *data, size_t bytes,
		  struct fault *fault) _must_check_;
/* Hands the extents over (NULL for a file that is one hole); the caller frees them. */
int content_end(struct content *content, struct extent **ret_extents, uint32_t *ret_count,
		struct fault *fault) _must_check_;

/* Gives blocks back: fits tree.release. They are punched out by content_finish(). */
void content_release(void *content, const struct extent *extents, uint32_t count);

/* Writes what is pending, punches out what was given back. */
int content_finish(struct content *content, struct fault *fault) _must_check_;

/* Deallocates a range of an open file where the file system can; it reads as zeros or stays. */
void content_punch(int fd, uint64_t offset, uint64_t bytes);

#endif
