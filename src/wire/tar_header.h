/* SPDX-License-Identifier: Apache-2.0 */
/* A tar header as it lies in its block; for tar_reader.c and tar_writer.c. */
#ifndef WIRE_TAR_HEADER_H
#define WIRE_TAR_HEADER_H

#include <assert.h>

#include "wire/tar.h"

#define TAR_XATTR_PREFIX   "SCHILY.xattr."
#define TAR_SPARSE_PREFIX  "GNU.sparse."
#define TAR_HEADER_EXTENTS 4
#define TAR_BLOCK_EXTENTS  21
#define TAR_NS_PER_S       1000000000

#define TAR_MIN(a, b) ((a) < (b) ? (a) : (b))

struct tar_header_extent {
	char offset[12];
	char bytes[12];
};

struct tar_header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char target[100];
	char magic[8]; /* with the version */
	char uname[32];
	char gname[32];
	char major[8];
	char minor[8];
	union {
		struct {
			char prefix[155];
			char unused[12];
		};
		struct {
			char gnu_unused[41];
			struct tar_header_extent extents[TAR_HEADER_EXTENTS];
			char is_extended;
			char real_size[12];
			char gnu_padding[17];
		};
	};
};
static_assert(sizeof(struct tar_header) == WIRE_TAR_BLOCK_BYTES, "a header is one block");
static_assert(offsetof(struct tar_header, extents) == 386, "GNU's old sparse form");
static_assert(offsetof(struct tar_header, real_size) == 483, "GNU's old sparse form");

struct tar_header_more {
	struct tar_header_extent extents[TAR_BLOCK_EXTENTS];
	char is_extended;
	char unused[7];
};
static_assert(sizeof(struct tar_header_more) == WIRE_TAR_BLOCK_BYTES, "one block");

#endif
