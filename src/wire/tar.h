/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tar archives: the one reader and the one writer of the project. Pure: no I/O, no allocation; bytes go
 * in and events come out, so that it serves blocking programs and event loops alike.
 *
 * Read: ustar, pax (x), GNU's long names (L, K) and numbers in binary, sparse files in GNU's old form
 * (S) and in pax's 0.0, 0.1 and 1.0. Global pax headers are passed over. A name is the bytes it is:
 * nothing is taken for text, nothing is normalised. Nothing is said about whether a name is safe:
 * whoever makes files of it decides that. Written: ustar, and pax records for what does not fit.
 *
 *	wire_tar_reader_init(&reader, room, sizeof(room));
 *	for each piece of the archive, as `data` and `length`:
 *		while ((event = wire_tar_read(&reader, &data, &length, &piece)) != WIRE_TAR_MORE)
 *			ENTRY: reader.entry    DATA: piece    DONE    END: stop    < 0: reader.problem
 *	at its end: wire_tar_reader_end(&reader)
 *
 *	length = wire_tar_write(&entry, out, sizeof(out));
 *	the bytes of its contents, wire_tar_padding() zeros, the next entry, ...
 *	WIRE_TAR_END_BYTES zeros
 *
 * POSIX.1-2017, pax; GNU tar's manual, "Tar Internals".
 */
#ifndef WIRE_TAR_H
#define WIRE_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_TAR_BLOCK_BYTES    512
#define WIRE_TAR_PATH_BYTES_MAX 4095 /* of a name or a link's target */
#define WIRE_TAR_XATTR_NAME_MAX 255
#define WIRE_TAR_END_BYTES      1024 /* zeros, behind the last entry */

enum wire_tar_type {
	WIRE_TAR_FILE,
	WIRE_TAR_HARDLINK,
	WIRE_TAR_SYMLINK,
	WIRE_TAR_CHAR,
	WIRE_TAR_BLOCK,
	WIRE_TAR_DIRECTORY,
	WIRE_TAR_FIFO,
};

/* A part of a sparse file that has contents. */
struct wire_tar_extent {
	uint64_t offset, bytes;
};

struct wire_tar_entry {
	enum wire_tar_type type;
	const char *path;   /* as the archive has it: may be absolute, may have ".." in it */
	const char *target; /* of a link; else "" or NULL */
	uint64_t bytes;     /* of the file; 0 for all but files */
	uint32_t mode;      /* permissions, setuid and the like: 07777 */
	int64_t uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t major, minor;
	/* A sparse file: in order, not overlapping. Contents in the archive are those of the extents. */
	bool sparse;
	const struct wire_tar_extent *extents;
	size_t extent_count;
	/* Extended attributes, as pax records: wire_tar_xattr_next(), wire_tar_xattr_put(). */
	const uint8_t *records;
	size_t record_bytes;
};

/* ---- reading ---- */

enum wire_tar_event {
	WIRE_TAR_MORE = 0,  /* all that was given is used: give more, or end */
	WIRE_TAR_ENTRY = 1, /* reader.entry is the next one, valid until the call after DONE */
	WIRE_TAR_DATA = 2,  /* a piece of its contents */
	WIRE_TAR_DONE = 3,  /* it is whole. Every ENTRY has one */
	WIRE_TAR_END = 4,   /* of the archive. What follows is padding */
};

struct wire_tar_piece {
	uint64_t offset; /* in the file */
	const uint8_t *data;
	size_t length;
};

struct wire_tar_reader {
	struct wire_tar_entry entry;
	const char *problem; /* after an error: what is wrong with the archive */

	/* Its own. */
	int state;
	int failed; /* the error, again and again */
	uint8_t block[WIRE_TAR_BLOCK_BYTES];
	size_t block_bytes;
	uint64_t stored_bytes;  /* of the current entry's contents or extension, in the archive */
	uint64_t left_bytes;    /* of them, not yet read */
	uint64_t padding_bytes; /* behind them */
	uint8_t *room;
	size_t room_bytes, record_bytes;
	struct wire_tar_extent *extents; /* in the room, behind the records */
	size_t extents_max, extent_at;
	uint64_t extent_done;
	struct {
		uint64_t value, count, consumed;
		bool has_digit, has_count;
	} map; /* pax's 1.0: being read from the contents */
	struct {
		char type; /* of the extension in front of the current entry */
		bool path, target, long_path, long_target;
		bool sparse, map_in_contents, half_extent;
		int64_t bytes, real_bytes; /* -1: nothing */
	} said;
	size_t text_bytes;
	char path[WIRE_TAR_PATH_BYTES_MAX + 1];
	char target[WIRE_TAR_PATH_BYTES_MAX + 1];
};

/*
 * `room`, aligned as a uint64_t, takes an entry's pax records and the extents of a sparse file: an
 * archive that needs more is refused. It has to outlive the reader.
 */
void wire_tar_reader_init(struct wire_tar_reader *reader, void *room, size_t room_bytes);

/*
 * The next event; *data and *length advance by what was used, a piece points into them. Errors, after
 * which there are no other events: -EBADMSG the archive is damaged; -ENAMETOOLONG; -EILSEQ a NUL in a
 * name; -E2BIG the room is too small; -ENOTSUP an entry of a type that is not known.
 */
int wire_tar_read(struct wire_tar_reader *reader, const uint8_t **data, size_t *length,
		  struct wire_tar_piece *ret_piece);

/* The archive has no more bytes: 0, or -EBADMSG when it ends within an entry. */
int wire_tar_reader_end(struct wire_tar_reader *reader);

struct wire_tar_xattr {
	const char *name; /* not terminated: name_bytes of it */
	size_t name_bytes;
	const uint8_t *value;
	size_t value_bytes;
};

/* One after the other; *at is 0 at first. False behind the last. */
bool wire_tar_xattr_next(const struct wire_tar_entry *entry, size_t *at,
			 struct wire_tar_xattr *ret_xattr);

/* ---- writing ---- */

/*
 * Writes all that stands in front of an entry's contents: whole blocks. Returns their length;
 * -EMSGSIZE when they do not fit into `size`; -EINVAL when the entry makes no sense (a path that is
 * empty or too long, extents out of order).
 */
long wire_tar_write(const struct wire_tar_entry *entry, uint8_t *out, size_t size);

/* How many bytes of contents the archive has of an entry: all of a file, or its extents. */
uint64_t wire_tar_content_bytes(const struct wire_tar_entry *entry);

/* How many zeros follow `bytes` of contents. */
static inline size_t wire_tar_padding(uint64_t bytes)
{
	return (size_t)(-bytes % WIRE_TAR_BLOCK_BYTES);
}

/* Writes one attribute's record. Its length, or -EMSGSIZE. One after the other they are `records`. */
long wire_tar_xattr_put(const struct wire_tar_xattr *xattr, uint8_t *out, size_t size);

#endif
