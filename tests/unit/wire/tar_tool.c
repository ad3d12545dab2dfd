/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For test_tar_tools.py: reads the tar file on standard input, in pieces of as many bytes as its second
 * argument says, and
 *	list	prints one line for each entry
 *	copy	writes it again on standard output
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/tar.h"

#define OUT_BYTES (1 << 20)

static uint64_t room[1 << 16];
static struct wire_tar_reader reader;
static uint8_t out[OUT_BYTES];
static uint64_t hash, written;

static void print_hex(const void *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		printf("%02x", ((const uint8_t *)data)[i]);
}

static void list_entry(const struct wire_tar_entry *entry)
{
	struct wire_tar_xattr xattr;
	size_t at = 0;

	printf("%d ", (int)entry->type);
	print_hex(entry->path, strlen(entry->path));
	printf(" =");
	print_hex(entry->target, strlen(entry->target));
	printf(" %" PRIu64 " %o %" PRId64 " %" PRId64 " %" PRId64 ".%09u %u %u", entry->bytes,
	       entry->mode, entry->uid, entry->gid, entry->mtime_s, entry->mtime_ns, entry->major,
	       entry->minor);
	while (wire_tar_xattr_next(entry, &at, &xattr)) {
		printf(" %.*s:", (int)xattr.name_bytes, xattr.name);
		print_hex(xattr.value, xattr.value_bytes);
	}
	hash = 0;
}

/* A hole is zeros to it, wherever it is and however long. */
static void list_piece(const struct wire_tar_piece *piece)
{
	for (size_t i = 0; i < piece->length; i++)
		hash += piece->data[i] * (2 * (piece->offset + i) + 1);
}

static void list_done(const struct wire_tar_entry *entry)
{
	(void)entry;
	printf(" %016" PRIx64 "\n", hash);
}

static void copy_entry(const struct wire_tar_entry *entry)
{
	long n = wire_tar_write(entry, out, sizeof(out));

	if (n < 0) {
		fprintf(stderr, "%s: %ld\n", entry->path, n);
		exit(1);
	}
	fwrite(out, 1, (size_t)n, stdout);
	written = 0;
}

static void copy_piece(const struct wire_tar_piece *piece)
{
	fwrite(piece->data, 1, piece->length, stdout);
	written += piece->length;
}

static void copy_done(const struct wire_tar_entry *entry)
{
	static const char zeros[WIRE_TAR_BLOCK_BYTES];

	if (written != wire_tar_content_bytes(entry))
		abort();
	fwrite(zeros, 1, wire_tar_padding(written), stdout);
}

static const struct action {
	const char *name;
	void (*entry)(const struct wire_tar_entry *entry);
	void (*piece)(const struct wire_tar_piece *piece);
	void (*done)(const struct wire_tar_entry *entry);
} actions[] = {
	{"list", list_entry, list_piece, list_done},
	{"copy", copy_entry, copy_piece, copy_done},
};

static void take(const struct action *action, const uint8_t *data, size_t length)
{
	struct wire_tar_piece piece;
	int event;

	while ((event = wire_tar_read(&reader, &data, &length, &piece)) != WIRE_TAR_MORE) {
		if (event == WIRE_TAR_ENTRY)
			action->entry(&reader.entry);
		else if (event == WIRE_TAR_DATA)
			action->piece(&piece);
		else if (event == WIRE_TAR_DONE)
			action->done(&reader.entry);
		else
			break;
	}
	if (event < 0) {
		fprintf(stderr, "%d %s\n", event, reader.problem);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	const struct action *action = &actions[argc > 1 && strcmp(argv[1], "copy") == 0];
	size_t step = argc > 2 ? strtoul(argv[2], NULL, 10) : sizeof(out);
	uint8_t *data = malloc(step);
	size_t n;

	wire_tar_reader_init(&reader, room, sizeof(room));
	while ((n = fread(data, 1, step, stdin)) > 0)
		take(action, data, n);
	free(data);
	if (wire_tar_reader_end(&reader) < 0) {
		fprintf(stderr, "%s\n", reader.problem);
		return 1;
	}
	if (strcmp(action->name, "copy") == 0) {
		memset(out, 0, WIRE_TAR_END_BYTES);
		fwrite(out, 1, WIRE_TAR_END_BYTES, stdout);
	}
	return 0;
}
