/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything an archive can grow, with its end. Each has its own error code (fault.h).
 *
 * What a test wants to reach the edge of is in a struct; limits_default is what the program uses.
 */
#ifndef IMAGE_LIMITS_H
#define IMAGE_LIMITS_H

#include <stdint.h>

#include "wire/limits.h"

#define GIB (1024UL * MIB)

/* Of one name in a directory and of a whole path, as in Linux. */
#define IMAGE_NAME_BYTES_MAX 255
#define IMAGE_PATH_BYTES_MAX 4095
#define IMAGE_DEPTH_MAX      1024 /* of directories; recursion over the tree is bounded by it */
#define IMAGE_SYMLINKS_MAX   40   /* followed while one path is resolved */
#define IMAGE_LINKS_MAX      65000

/* Extended attributes of one file: ext4 keeps them in the inode and one block. */
#define IMAGE_XATTRS_MAX      64
#define IMAGE_XATTR_BYTES_MAX 4000

/* The outer archive: blobs, directories, links. */
#define IMAGE_MEMBERS_MAX      4096
#define IMAGE_MEMBER_NAME_MAX  1023
#define IMAGE_INDEX_DEPTH_MAX  4
#define IMAGE_NAMES_MAX        64
#define IMAGE_JSON_BYTES_MAX   (4 * MIB)   /* index, manifest, config blob */
#define IMAGE_CONFIG_BYTES_MAX (256 * KIB) /* the config's `config` member in the event */

struct limits {
	uint64_t entries_max;        /* in all layers together */
	uint64_t metadata_bytes_max; /* names, link targets, xattrs held in memory */
	uint64_t file_bytes_max;     /* of one file, holes included */
	uint64_t image_bytes_max;    /* stored file contents of all layers together */
	uint64_t stream_bytes_max;   /* uncompressed bytes of all layers together */
	uint64_t ratio_max;          /* uncompressed to compressed, of one layer or the archive */
	uint64_t ratio_floor_bytes;  /* the ratio is not judged below this many bytes */
	unsigned layers_max;
};

extern const struct limits limits_default;

#endif
