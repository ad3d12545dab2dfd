/* SPDX-License-Identifier: Apache-2.0 */
/* The writable disk of a machine, and named volumes: ext4_write_disk(). */
#include "ext4fs.h"

#include "base/macro.h"

#define BLOCKS_PER_MIB    (MIB / EXT4FS_BLOCK_BYTES)
#define INODE_RATIO_BYTES (16 * KIB)
#define INODES_MAX        0xfff00000U

/*
 * As after a power failure is how a disk looks when its virtual machine was killed, so there is a
 * journal. It wraps, so in the end all of it takes room on the host: as small as does not hurt.
 */
static const struct {
	uint64_t disk_mib;
	unsigned journal_mib;
} journal_sizes[] = {{128, 4}, {1024, 8}, {8 * 1024, 16}, {64 * 1024, 32}, {UINT64_MAX, 64}};

static unsigned journal_blocks(uint64_t size_mib)
{
	size_t i = 0;

	while (size_mib > journal_sizes[i].disk_mib)
		i++;
	return journal_sizes[i].journal_mib * (unsigned)BLOCKS_PER_MIB;
}

static int make_directories(ext2_filsys fs, enum ext4_disk_kind kind, struct fault *fault)
{
	static const char *const names[] = {"upper", "work"};
	errcode_t error = ext2fs_mkdir(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, NULL);

	for (size_t i = 0; kind == EXT4_DISK_MACHINE && i < ARRAY_SIZE(names) && error == 0; i++)
		error = ext2fs_mkdir(fs, EXT2_ROOT_INO, 0, names[i]);
	return error == 0 ? 0 : ext4fs_fault(error, "cannot make the disk's directories", fault);
}

static int fill(ext2_filsys fs, enum ext4_disk_kind kind, uint64_t size_mib, struct fault *fault)
{
	errcode_t error;

	error = ext2fs_allocate_tables(fs);
	if (error != 0)
		return ext4fs_fault(error, "cannot place the disk's tables", fault);
	/* The root directory and what is reserved come before the rest. */
	ext4fs_reserve_inodes(fs);
	if (make_directories(fs, kind, fault) < 0)
		return -1;
	error = ext2fs_add_journal_inode(fs, journal_blocks(size_mib),
					 EXT2_MKJOURNAL_LAZYINIT | EXT2_MKJOURNAL_NO_MNT_CHECK);
	return error == 0 ? 0 : ext4fs_fault(error, "cannot make the disk's journal", fault);
}

int ext4_write_disk(int fd, enum ext4_disk_kind kind, uint64_t size_mib,
		    const struct ext4_identity *identity, struct ext4_size *ret_size,
		    struct fault *fault)
{
	_cleanup_ext4fs_ ext2_filsys fs = NULL;
	struct ext2_super_block param;

	ext4fs_prepare(&param);
	ext2fs_set_feature_dir_index(&param);
	ext2fs_set_feature_huge_file(&param);
	ext2fs_blocks_count_set(&param, size_mib * BLOCKS_PER_MIB);
	param.s_inodes_count = (__u32)MIN(size_mib * MIB / INODE_RATIO_BYTES, INODES_MAX);
	/* Copies of the superblock and the descriptors in two groups. */
	param.s_backup_bgs[0] = 1;
	param.s_backup_bgs[1] = UINT32_MAX;
	if (ext4fs_open(fd, &param, identity, &fs, fault) < 0)
		return -1;
	if (fill(fs, kind, size_mib, fault) < 0)
		return -1;
	return ext4fs_close(take_ptr(fs), ret_size, fault);
}
