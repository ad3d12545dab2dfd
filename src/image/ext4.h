/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ext4 file systems in regular files, with libext2fs: no root, no mount, no path but the open file.
 *
 * The file given is fresh: open for reading and writing, and empty but for file contents that
 * `struct content` has put there. After success it has the file system's size; what it holds is not
 * synced. After a failure its content means nothing.
 */
#ifndef IMAGE_EXT4_H
#define IMAGE_EXT4_H

#include <stdint.h>

#include "fault.h"
#include "tree.h"

#define EXT4_UUID_BYTES 16

struct ext4_identity {
	uint8_t uuid[EXT4_UUID_BYTES];
	int64_t time_s; /* of creation; the same input and identity give the same bytes */
};

struct ext4_size {
	uint64_t bytes;      /* of the file system, and so of the file */
	uint64_t used_bytes; /* of its blocks that hold something */
};

/*
 * A file system to be mounted read-only, with everything in the tree and little room beside it: no
 * journal, no reserved inode beyond the usual, no lost+found. Gives each inode its number.
 * `next_block` is the first block behind all file contents.
 */
int ext4_write_tree(int fd, struct tree *tree, uint64_t next_block,
		    const struct ext4_identity *identity, struct ext4_size *ret_size,
		    struct fault *fault) _must_check_;

/*
 * An empty file system with a journal; a machine's own disk has the directories `upper` and `work`.
 * Its inode tables are holes of the file and marked as zeroed, so neither this nor the guest's kernel
 * ever writes them.
 */
enum ext4_disk_kind {
	EXT4_DISK_MACHINE,
	EXT4_DISK_PLAIN,
};

int ext4_write_disk(int fd, enum ext4_disk_kind kind, uint64_t size_mib,
		    const struct ext4_identity *identity, struct ext4_size *ret_size,
		    struct fault *fault) _must_check_;

#endif
