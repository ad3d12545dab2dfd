/* SPDX-License-Identifier: Apache-2.0 */
#include "content.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define BUFFER_BYTES      (1 * MIB)
#define EXTENT_BLOCKS_MAX 32768U

static_assert(BUFFER_BYTES % CONTENT_CHUNK_BYTES == 0, "a chunk fits behind the pending bytes");
static_assert(CONTENT_CHUNK_BYTES % IMAGE_BLOCK_BYTES == 0, "chunks are whole blocks");

void content_init(struct content *content, int fd, uint64_t bytes_max)
{
	*content = (struct content){
		.fd = fd,
		.bytes_max = bytes_max,
		.next_block = CONTENT_FIRST_BLOCK,
		.pending_block = CONTENT_FIRST_BLOCK,
		.buffer = mem_zalloc(BUFFER_BYTES),
	};
}

void content_done(struct content *content)
{
	free(content->buffer);
	free(content->extents);
	free(content->released);
	*content = (struct content){.fd = -1};
}

static int write_pending(struct content *content, struct fault *fault)
{
	const uint8_t *p = content->buffer;
	off_t offset = (off_t)(content->pending_block * IMAGE_BLOCK_BYTES);

	while (content->pending_bytes > 0) {
		ssize_t n = pwrite(content->fd, p, content->pending_bytes, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_set_errno(fault, errno, "cannot write the image");
		p += n;
		offset += n;
		content->pending_bytes -= (size_t)n;
	}
	content->pending_block = content->next_block;
	return 0;
}

static bool is_zero(const uint8_t *p, size_t bytes)
{
	return p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0;
}

/* The next `blocks` blocks of the image become the file's, at its block `logical`. */
static void add_extent(struct content *content, uint32_t logical, uint32_t blocks)
{
	struct extent *last =
		content->extent_count > 0 ? &content->extents[content->extent_count - 1] : NULL;

	if (last != NULL && last->logical + last->blocks == logical &&
	    last->physical + last->blocks == content->next_block &&
	    last->blocks + blocks <= EXTENT_BLOCKS_MAX) {
		last->blocks += blocks;
		return;
	}
	if (content->extent_count == content->extent_room) {
		content->extent_room = MAX(content->extent_room * 2, 1U);
		content->extents = mem_realloc_array(content->extents, content->extent_room,
						     sizeof(struct extent));
	}
	assert(content->extents != NULL);
	content->extents[content->extent_count++] = (struct extent){
		.physical = content->next_block,
		.logical = logical,
		.blocks = blocks,
	};
}

/* The current chunk is full, or the file ends in it. */
static int end_chunk(struct content *content, struct fault *fault)
{
	uint8_t *chunk = content->buffer + content->pending_bytes;
	size_t bytes = content->chunk_bytes;
	uint32_t blocks = (uint32_t)((bytes + IMAGE_BLOCK_BYTES - 1) / IMAGE_BLOCK_BYTES);
	size_t padded = (size_t)blocks * IMAGE_BLOCK_BYTES;

	content->chunk_bytes = 0;
	if (bytes == 0 || is_zero(chunk, bytes))
		return 0;
	memset(chunk + bytes, 0, padded - bytes);
	content->stored_bytes += padded;
	if (content->stored_bytes > content->bytes_max)
		return fault_set(fault, FAULT_IMAGE_TOO_LARGE,
				 "the image's files are larger than %llu bytes",
				 (unsigned long long)content->bytes_max);
	add_extent(content, (uint32_t)((content->position - bytes) / IMAGE_BLOCK_BYTES), blocks);
	content->next_block += blocks;
	content->pending_bytes += padded;
	if (content->pending_bytes + CONTENT_CHUNK_BYTES > BUFFER_BYTES)
		return write_pending(content, fault);
	return 0;
}

void content_begin(struct content *content, uint64_t file_bytes)
{
	assert(content->chunk_bytes == 0 && content->extent_count == 0);
	content->file_bytes = file_bytes;
	content->position = 0;
}

/* Appends to the file; NULL is zeros. */
static int append(struct content *content, const uint8_t *data, uint64_t bytes, struct fault *fault)
{
	while (bytes > 0) {
		size_t step = (size_t)MIN(bytes, CONTENT_CHUNK_BYTES - content->chunk_bytes);
		uint8_t *to = content->buffer + content->pending_bytes + content->chunk_bytes;

		if (data != NULL) {
			memcpy(to, data, step);
			data += step;
		} else {
			memset(to, 0, step);
		}
		content->chunk_bytes += step;
		content->position += step;
		bytes -= step;
		if (content->chunk_bytes == CONTENT_CHUNK_BYTES && end_chunk(content, fault) < 0)
			return -1;
	}
	return 0;
}

/* Zeros up to `offset`; whole chunks of them cost nothing, however many. */
static int skip(struct content *content, uint64_t offset, struct fault *fault)
{
	uint64_t to_boundary = (CONTENT_CHUNK_BYTES - content->chunk_bytes) % CONTENT_CHUNK_BYTES;

	if (append(content, NULL, MIN(to_boundary, offset - content->position), fault) < 0)
		return -1;
	content->position +=
		(offset - content->position) / CONTENT_CHUNK_BYTES * CONTENT_CHUNK_BYTES;
	return append(content, NULL, offset - content->position, fault);
}

int content_write(struct content *content, uint64_t offset, const void *data, size_t bytes,
		  struct fault *fault)
{
	if (offset < content->position || offset > content->file_bytes ||
	    bytes > content->file_bytes - offset)
		return fault_set(fault, FAULT_ARCHIVE_BROKEN,
				 "it has data outside of its size of %llu bytes",
				 (unsigned long long)content->file_bytes);
	if (offset > content->position && skip(content, offset, fault) < 0)
		return -1;
	return append(content, data, bytes, fault);
}

int content_end(struct content *content, struct extent **ret_extents, uint32_t *ret_count,
		struct fault *fault)
{
	if (end_chunk(content, fault) < 0)
		return -1;
	if (content->extent_count > 0)
		content->extents = mem_realloc_array(content->extents, content->extent_count,
						     sizeof(struct extent));
	*ret_extents = take_ptr(content->extents);
	*ret_count = content->extent_count;
	content->extent_count = 0;
	content->extent_room = 0;
	return 0;
}

void content_release(void *context, const struct extent *extents, uint32_t count)
{
	struct content *content = context;

	for (uint32_t i = 0; i < count; i++) {
		if (content->released_count == content->released_room) {
			content->released_room = MAX(content->released_room * 2, (size_t)64);
			content->released =
				mem_realloc_array(content->released, content->released_room,
						  sizeof(struct extent));
		}
		content->released[content->released_count++] = extents[i];
	}
}

int content_finish(struct content *content, struct fault *fault)
{
	if (write_pending(content, fault) < 0)
		return -1;
	for (size_t i = 0; i < content->released_count; i++) {
		const struct extent *extent = &content->released[i];

		content_punch(content->fd, extent->physical * IMAGE_BLOCK_BYTES,
			      (uint64_t)extent->blocks * IMAGE_BLOCK_BYTES);
	}
	content->released_count = 0;
	return 0;
}
