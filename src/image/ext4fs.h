/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that use libext2fs share: opening a new file system over a descriptor, errors,
 * closing. Everything else includes ext4.h.
 */
#ifndef IMAGE_EXT4FS_H
#define IMAGE_EXT4FS_H

#include <ext2fs/ext2fs.h>

#include "ext4.h"

#define EXT4FS_BLOCK_BYTES      4096U
#define EXT4FS_INODE_BYTES      256U
#define EXT4FS_BLOCKS_PER_GROUP (8U * EXT4FS_BLOCK_BYTES)
#define EXT4FS_INODES_PER_BLOCK (EXT4FS_BLOCK_BYTES / EXT4FS_INODE_BYTES)

/* Features of every file system of ours; the caller adds sizes and more. */
void ext4fs_prepare(struct ext2_super_block *param);

/* Gives the file its size and makes the file system, most of it in memory until ext4fs_close(). */
int ext4fs_open(int fd, struct ext2_super_block *param, const struct ext4_identity *identity,
		ext2_filsys *ret_fs, struct fault *fault) _must_check_;

/* Takes the inodes that ext4 keeps for itself; the root, which is one of them, counts when it is made. */
void ext4fs_reserve_inodes(ext2_filsys fs);

/* Writes superblock, descriptors and bitmaps, frees `fs` in any case. */
int ext4fs_close(ext2_filsys fs, struct ext4_size *ret_size, struct fault *fault) _must_check_;

/* An error of libext2fs, which is an errno or a code of its own. Returns -1. */
int ext4fs_fault(errcode_t error, const char *what, struct fault *fault);

static inline void cleanup_ext4fs(ext2_filsys *fs)
{
	if (*fs != NULL)
		ext2fs_free(*fs);
}
#define _cleanup_ext4fs_ _cleanup_(cleanup_ext4fs)

#endif
