/* SPDX-License-Identifier: Apache-2.0 */
#include "tar.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "limits.h"

#define ROOM_BYTES (1 * MIB) /* an entry's names and attributes */

static_assert(IMAGE_PATH_BYTES_MAX == WIRE_TAR_PATH_BYTES_MAX, "what can be read can be kept");

void tar_init(struct tar *tar, struct stream *from)
{
	*tar = (struct tar){.from = from, .room = mem_zalloc(ROOM_BYTES)};
	wire_tar_reader_init(&tar->reader, tar->room, ROOM_BYTES);
}

void tar_done(struct tar *tar)
{
	free(tar->room);
	tar->room = NULL;
}

static const struct {
	int error;
	enum fault_code code;
	const char *context;
} faults[] = {
	{-EBADMSG, FAULT_ARCHIVE_BROKEN, "the layer's tar file is damaged"},
	{-ENAMETOOLONG, FAULT_PATH_TOO_LONG, "the layer's tar file cannot be kept"},
	{-E2BIG, FAULT_PATH_TOO_LONG, "the layer's tar file cannot be kept"},
	{-EILSEQ, FAULT_PATH_UNSAFE, "the layer's tar file cannot be kept"},
	{-ENOTSUP, FAULT_ENTRY_UNSUPPORTED, "the layer's tar file cannot be kept"},
};

static int fail(const struct tar *tar, int error, struct fault *fault)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		if (faults[i].error == error)
			return fault_set(fault, faults[i].code, "%s: %s", faults[i].context,
					 tar->reader.problem);
	}
	return fault_set(fault, FAULT_INTERNAL, "the layer's tar file: error %d", error);
}

/* At least one unused byte in the piece: 1; at the stream's end 0. */
static int fill_piece(struct tar *tar, struct fault *fault)
{
	const void *data;
	ssize_t n = tar->from->read(tar->from, &data, fault);

	if (n <= 0)
		return (int)n;
	tar->piece = data;
	tar->piece_bytes = (size_t)n;
	return 1;
}

/* The reader's next event but MORE; the stream's end is END, too. -1. */
static int next_event(struct tar *tar, struct wire_tar_piece *ret_piece, struct fault *fault)
{
	for (;;) {
		int event = wire_tar_read(&tar->reader, &tar->piece, &tar->piece_bytes, ret_piece);
		int r;

		if (event < 0)
			return fail(tar, event, fault);
		if (event != WIRE_TAR_MORE)
			return event;
		r = fill_piece(tar, fault);
		if (r < 0)
			return -1;
		if (r > 0)
			continue;
		r = wire_tar_reader_end(&tar->reader);
		return r < 0 ? fail(tar, r, fault) : WIRE_TAR_END;
	}
}

int tar_next(struct tar *tar, const struct wire_tar_entry **ret_entry, struct fault *fault)
{
	struct wire_tar_piece piece;
	int event;

	do {
		event = next_event(tar, &piece, fault);
	} while (event == WIRE_TAR_DATA || event == WIRE_TAR_DONE);
	tar->in_entry = event == WIRE_TAR_ENTRY;
	if (event == WIRE_TAR_END)
		return 0;
	if (event < 0)
		return -1;
	*ret_entry = &tar->reader.entry;
	if (tar->reader.entry.sparse)
		return fault_set(fault, FAULT_ENTRY_UNSUPPORTED,
				 "the layer has a file in GNU tar's sparse form");
	return 1;
}

ssize_t tar_read(struct tar *tar, const void **ret_data, struct fault *fault)
{
	struct wire_tar_piece piece;
	int event;

	if (!tar->in_entry)
		return 0;
	event = next_event(tar, &piece, fault);
	if (event == WIRE_TAR_DATA) {
		*ret_data = piece.data;
		return (ssize_t)piece.length;
	}
	tar->in_entry = false;
	return event < 0 ? -1 : 0;
}
