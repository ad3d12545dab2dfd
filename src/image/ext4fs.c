/* SPDX-License-Identifier: Apache-2.0 */
#include "ext4fs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

int ext4fs_fault(errcode_t error, const char *what, struct fault *fault)
{
	/* A write that ends early without an errno: the file may not grow any further. */
	if (error == EXT2_ET_SHORT_WRITE)
		return fault_set(fault, FAULT_DISK_FULL, "%s: no space left", what);
	if (error > 0 && error < 4096)
		return fault_set_errno(fault, (int)error, "%s", what);
	initialize_ext2_error_table();
	return fault_set(fault, FAULT_INTERNAL, "%s: %s", what, error_message(error));
}

void ext4fs_prepare(struct ext2_super_block *param)
{
	memset(param, 0, sizeof(*param));
	param->s_rev_level = EXT2_DYNAMIC_REV;
	param->s_log_block_size = 2;
	param->s_log_cluster_size = 2;
	param->s_inode_size = EXT4FS_INODE_BYTES;
	param->s_log_groups_per_flex = 4;
	ext2fs_set_feature_xattr(param);
	ext2fs_set_feature_sparse_super2(param);
	ext2fs_set_feature_filetype(param);
	ext2fs_set_feature_extents(param);
	ext2fs_set_feature_64bit(param);
	ext2fs_set_feature_flex_bg(param);
	ext2fs_set_feature_large_file(param);
	ext2fs_set_feature_dir_nlink(param);
	ext2fs_set_feature_extra_isize(param);
	ext2fs_set_feature_metadata_csum(param);
}

static void set_identity(ext2_filsys fs, const struct ext4_identity *identity)
{
	struct ext2_super_block *super = fs->super;
	unsigned extra = EXT4FS_INODE_BYTES - EXT2_GOOD_OLD_INODE_SIZE;

	memcpy(super->s_uuid, identity->uuid, sizeof(super->s_uuid));
	/* A hash seed of its own; directories are not indexed when they are made here. */
	memcpy(super->s_hash_seed, identity->uuid, sizeof(super->s_hash_seed));
	super->s_def_hash_version = EXT2_HASH_HALF_MD4;
	super->s_checksum_type = EXT2_CRC32C_CHKSUM;
	super->s_min_extra_isize = sizeof(struct ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE;
	super->s_want_extra_isize = super->s_min_extra_isize;
	if (super->s_min_extra_isize > extra)
		super->s_min_extra_isize = super->s_want_extra_isize = 32;
	super->s_max_mnt_count = -1;
	super->s_checkinterval = 0;
	super->s_errors = EXT2_ERRORS_RO;
	super->s_default_mount_opts = EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL;
	super->s_mkfs_time = super->s_lastcheck = super->s_wtime = (__u32)identity->time_s;
	fs->now = (time_t)identity->time_s;
	ext2fs_init_csum_seed(fs);
}

int ext4fs_open(int fd, struct ext2_super_block *param, const struct ext4_identity *identity,
		ext2_filsys *ret_fs, struct fault *fault)
{
	_cleanup_fd_ int own = dup(fd);
	char name[16];
	ext2_filsys fs;
	errcode_t error;

	if (own < 0)
		return fault_set_errno(fault, errno, "cannot make a file system");
	/* libext2fs reads before it writes and takes the end of the file for a failure. */
	if (ftruncate(fd, (off_t)(ext2fs_blocks_count(param) * EXT4FS_BLOCK_BYTES)) < 0)
		return fault_set_errno(fault, errno, "cannot make a file system");
	/* The descriptor goes with the channel that is made of it. */
	snprintf(name, sizeof(name), "%d", own);
	error = ext2fs_initialize(name, EXT2_FLAG_64BITS, param, unixfd_io_manager, &fs);
	if (error != 0)
		return ext4fs_fault(error, "cannot make a file system", fault);
	take_fd(own);
	set_identity(fs, identity);
	*ret_fs = fs;
	return 0;
}

void ext4fs_reserve_inodes(ext2_filsys fs)
{
	for (ext2_ino_t ino = 1; ino < EXT2_FIRST_INODE(fs->super); ino++) {
		if (ino != EXT2_ROOT_INO)
			ext2fs_inode_alloc_stats2(fs, ino, +1, 0);
	}
}

/* The file was empty where inode tables are, so they are zeroed; nobody has to do it later. */
static void mark_tables_zeroed(ext2_filsys fs)
{
	for (dgrp_t group = 0; group < fs->group_desc_count; group++)
		ext2fs_bg_flags_set(fs, group, EXT2_BG_INODE_ZEROED);
}

int ext4fs_close(ext2_filsys fs, struct ext4_size *ret_size, struct fault *fault)
{
	uint64_t blocks = ext2fs_blocks_count(fs->super);
	uint64_t used = blocks - ext2fs_free_blocks_count(fs->super);
	errcode_t error;

	mark_tables_zeroed(fs);
	fs->super->s_state |= EXT2_VALID_FS;
	ext2fs_mark_super_dirty(fs);
	ext2fs_mark_bb_dirty(fs);
	ext2fs_mark_ib_dirty(fs);
	error = ext2fs_set_gdt_csum(fs);
	if (error == 0)
		error = ext2fs_flush2(fs, EXT2_FLAG_FLUSH_NO_SYNC);
	if (error != 0) {
		ext2fs_free(fs);
		return ext4fs_fault(error, "cannot write the file system", fault);
	}
	error = ext2fs_close2(fs, EXT2_FLAG_FLUSH_NO_SYNC);
	if (error != 0) {
		ext2fs_free(fs);
		return ext4fs_fault(error, "cannot write the file system", fault);
	}
	ret_size->bytes = blocks * EXT4FS_BLOCK_BYTES;
	ret_size->used_bytes = used * EXT4FS_BLOCK_BYTES;
	return 0;
}
