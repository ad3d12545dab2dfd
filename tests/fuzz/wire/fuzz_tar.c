/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tar reader, fed the same bytes in one piece and one by one: the events have to be the same. What
 * it reads must survive being written and read again.
 */
#include "wire/tar_reader.c"
#include "wire/tar_writer.c"

#include <stdio.h>
#include <stdlib.h>

#define INPUT_BYTES_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
	struct wire_tar_reader reader;
	uint64_t room[2048];
	uint64_t hash;
	int end;
};

static void mix(struct walk *walk, const void *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		walk->hash = (walk->hash ^ ((const uint8_t *)data)[i]) * 0x100000001b3;
}

static void mix_entry(struct walk *walk, const struct wire_tar_entry *entry)
{
	struct wire_tar_xattr xattr;
	size_t at = 0;

	mix(walk, &entry->type, sizeof(entry->type));
	mix(walk, entry->path, strlen(entry->path) + 1);
	mix(walk, entry->target, strlen(entry->target) + 1);
	mix(walk, &entry->bytes, sizeof(entry->bytes));
	mix(walk, &entry->mode, sizeof(entry->mode));
	mix(walk, &entry->uid, sizeof(entry->uid));
	mix(walk, &entry->gid, sizeof(entry->gid));
	mix(walk, &entry->mtime_s, sizeof(entry->mtime_s));
	mix(walk, &entry->mtime_ns, sizeof(entry->mtime_ns));
	while (wire_tar_xattr_next(entry, &at, &xattr)) {
		mix(walk, xattr.name, xattr.name_bytes);
		mix(walk, xattr.value, xattr.value_bytes);
	}
	for (size_t i = 0; i < entry->extent_count; i++)
		mix(walk, &entry->extents[i], sizeof(entry->extents[i]));
}

static void write_and_read(const struct wire_tar_entry *entry)
{
	static struct walk first, second;
	static uint8_t out[1 << 17];
	const uint8_t *data = out;
	struct wire_tar_piece piece;
	long n = wire_tar_write(entry, out, sizeof(out));
	size_t length;

	if (n == -EINVAL)
		return;
	if (n <= 0 || n % WIRE_TAR_BLOCK_BYTES != 0)
		abort();
	length = (size_t)n;
	wire_tar_reader_init(&second.reader, second.room, sizeof(second.room));
	if (wire_tar_read(&second.reader, &data, &length, &piece) != WIRE_TAR_ENTRY || length != 0)
		abort();
	first.hash = second.hash = 0;
	mix_entry(&first, entry);
	mix_entry(&second, &second.reader.entry);
	if (first.hash != second.hash)
		abort();
}

static bool feed(struct walk *walk, const uint8_t *data, size_t length, bool write)
{
	struct wire_tar_piece piece;
	int event;

	while ((event = wire_tar_read(&walk->reader, &data, &length, &piece)) != WIRE_TAR_MORE) {
		if (event < 0 || event == WIRE_TAR_END) {
			walk->end = event;
			return false;
		}
		if (event == WIRE_TAR_ENTRY) {
			mix_entry(walk, &walk->reader.entry);
			if (write)
				write_and_read(&walk->reader.entry);
		}
		if (event == WIRE_TAR_DATA) {
			if (piece.length == 0 ||
			    piece.offset + piece.length > walk->reader.entry.bytes)
				abort();
			mix(walk, piece.data, piece.length);
		}
		if (event == WIRE_TAR_DONE)
			mix(walk, "", 1);
	}
	return true;
}

static void walk_begin(struct walk *walk)
{
	wire_tar_reader_init(&walk->reader, walk->room, sizeof(walk->room));
	walk->hash = 0;
	walk->end = 0;
}

/* Else nearly all that is tried ends at the first header. */
static const uint8_t *mend_checksums(const uint8_t *data, size_t size)
{
	static uint8_t mended[INPUT_BYTES_MAX];

	memcpy(mended, data, size);
	for (size_t at = 0; at + WIRE_TAR_BLOCK_BYTES <= size; at += WIRE_TAR_BLOCK_BYTES) {
		struct tar_header *header = (struct tar_header *)(void *)(mended + at);
		unsigned sum = 0;

		if (memcmp(header->magic, "ustar", 5) != 0)
			continue;
		memset(header->checksum, ' ', sizeof(header->checksum));
		for (size_t i = 0; i < WIRE_TAR_BLOCK_BYTES; i++)
			sum += mended[at + i];
		snprintf(header->checksum, sizeof(header->checksum), "%06o", sum);
	}
	return mended;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	static struct walk whole, bytewise;
	const uint8_t *data;
	size_t i = 0;

	if (size > INPUT_BYTES_MAX)
		return 0;
	data = mend_checksums(input, size);

	walk_begin(&whole);
	walk_begin(&bytewise);
	if (feed(&whole, data, size, true))
		whole.end = wire_tar_reader_end(&whole.reader);
	while (i < size && feed(&bytewise, data + i, 1, false))
		i++;
	if (i == size)
		bytewise.end = wire_tar_reader_end(&bytewise.reader);
	if (whole.hash != bytewise.hash || whole.end != bytewise.end)
		abort();
	if (whole.end < 0 && whole.reader.problem == NULL)
		abort();
	return 0;
}
