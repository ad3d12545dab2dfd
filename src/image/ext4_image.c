/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree as a read-only file system: ext4_write_tree().
 *
 * Layout: superblock and descriptors; file contents, which lie in the file already; then the block
 * and inode bitmaps and inode tables of all groups; then directories and long symlinks; then what
 * libext2fs allocates by itself (xattr blocks, extent tree nodes).
 *
 * Order: number all inodes; sum up what they need; lay out; write them one by one.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "content.h"
#include "ext4fs.h"

#include <ext2fs/ext3_extents.h>

#define SLACK_BLOCKS         64U
#define EXTENTS_IN_INODE     4U
#define EXTENTS_PER_NODE_MIN 128U /* a node holds 340; libext2fs may leave them half full */
#define INODES_PER_GROUP_MAX 32000U
#define DIRECTORY_BYTES      (EXT4FS_BLOCK_BYTES - sizeof(struct ext2_dir_entry_tail))
#define FAST_SYMLINK_BYTES   60U /* with its NUL */
#define EXTENT_BLOCKS_MAX    32768U

static_assert(EXT4FS_BLOCK_BYTES == IMAGE_BLOCK_BYTES, "contents lie in the file system's blocks");

struct writer {
	ext2_filsys fs;
	struct tree *tree;
	struct inode **inodes; /* by number, from the first ordinary one on; the root is apart */
	uint32_t inode_count;
	uint64_t next_block;    /* first that neither contents nor anything placed here has */
	uint64_t placed_blocks; /* directories and symlinks */
	uint64_t placed_end;
	uint64_t spare_blocks; /* what libext2fs may need */
	struct fault *fault;
};

/* ---- numbering ---- */

static void number_inode(struct writer *w, struct inode *inode)
{
	if (inode->number != 0)
		return;
	inode->number = EXT2_GOOD_OLD_FIRST_INO + w->inode_count;
	w->inodes[w->inode_count++] = inode;
}

/* The files of a directory first, so that they lie together. */
static void number_directory(struct writer *w, struct inode *directory)
{
	struct link *link;

	for (link = directory->directory.first; link != NULL; link = link->next)
		number_inode(w, link->inode);
	for (link = directory->directory.first; link != NULL; link = link->next) {
		if (link->inode->type == INODE_TYPE_DIRECTORY)
			number_directory(w, link->inode);
	}
}

/* ---- what is needed ---- */

static size_t entry_bytes(size_t name_bytes)
{
	return (8 + name_bytes + 3) & ~(size_t)3;
}

static uint64_t directory_blocks(const struct inode *inode)
{
	size_t used = entry_bytes(1) + entry_bytes(2);
	uint64_t blocks = 1;

	for (const struct link *link = inode->directory.first; link != NULL; link = link->next) {
		size_t bytes = entry_bytes(link->name_bytes);

		if (used + bytes > DIRECTORY_BYTES) {
			blocks++;
			used = 0;
		}
		used += bytes;
	}
	return blocks;
}

static bool is_slow_symlink(const struct inode *inode)
{
	return inode->type == INODE_TYPE_SYMLINK &&
	       strlen(inode->symlink.target) >= FAST_SYMLINK_BYTES;
}

static void count_needs(struct writer *w, const struct inode *inode)
{
	if (inode->type == INODE_TYPE_DIRECTORY)
		w->placed_blocks += directory_blocks(inode);
	if (is_slow_symlink(inode))
		w->placed_blocks++;
	if (inode->meta.xattrs != NULL)
		w->spare_blocks++;
	if (inode->type == INODE_TYPE_FILE && inode->file.extent_count > EXTENTS_IN_INODE)
		w->spare_blocks += inode->file.extent_count / EXTENTS_PER_NODE_MIN + 4;
}

static uint64_t divide_up(uint64_t number, uint64_t by)
{
	return (number + by - 1) / by;
}

/* Blocks of the file system, so that everything fits and libext2fs keeps the last group. */
static uint64_t count_blocks(const struct writer *w)
{
	uint64_t inodes = EXT2_GOOD_OLD_FIRST_INO + (uint64_t)w->inode_count;
	uint64_t groups = divide_up(inodes, INODES_PER_GROUP_MAX);

	for (;;) {
		uint64_t table = divide_up(divide_up(inodes, groups), EXT4FS_INODES_PER_BLOCK);
		uint64_t last_min = table + 128;
		uint64_t blocks = w->next_block + groups * (2 + table) + w->placed_blocks +
				  w->spare_blocks + SLACK_BLOCKS;
		uint64_t last;

		blocks = MAX(blocks, (groups - 1) * EXT4FS_BLOCKS_PER_GROUP + last_min);
		last = blocks % EXT4FS_BLOCKS_PER_GROUP;
		if (last != 0 && last < last_min)
			blocks += last_min - last;
		if (divide_up(blocks, EXT4FS_BLOCKS_PER_GROUP) <= groups)
			return blocks;
		groups = divide_up(blocks, EXT4FS_BLOCKS_PER_GROUP);
	}
}

/* ---- layout ---- */

static void mark_used(struct writer *w, uint64_t block, uint64_t blocks)
{
	while (blocks > 0) {
		blk_t step = (blk_t)MIN(blocks, (uint64_t)EXT4FS_BLOCKS_PER_GROUP);

		ext2fs_block_alloc_stats_range(w->fs, block, step, +1);
		block += step;
		blocks -= step;
	}
}

/* Hands out blocks that are marked as used already. */
static uint64_t place(struct writer *w, uint64_t blocks)
{
	uint64_t first = w->next_block;

	w->next_block += blocks;
	return first;
}

static uint64_t table_blocks(ext2_filsys fs)
{
	return (uint64_t)fs->group_desc_count * (2 + fs->inode_blocks_per_group);
}

static void place_tables(struct writer *w)
{
	dgrp_t group, groups = w->fs->group_desc_count;

	for (group = 0; group < groups; group++)
		ext2fs_block_bitmap_loc_set(w->fs, group, place(w, 1));
	for (group = 0; group < groups; group++)
		ext2fs_inode_bitmap_loc_set(w->fs, group, place(w, 1));
	for (group = 0; group < groups; group++)
		ext2fs_inode_table_loc_set(w->fs, group, place(w, w->fs->inode_blocks_per_group));
}

static int lay_out(struct writer *w, int fd, const struct ext4_identity *identity)
{
	struct ext2_super_block param;
	uint64_t blocks = count_blocks(w);

	ext4fs_prepare(&param);
	ext2fs_blocks_count_set(&param, blocks);
	param.s_inodes_count = EXT2_GOOD_OLD_FIRST_INO + w->inode_count;
	if (ext4fs_open(fd, &param, identity, &w->fs, w->fault) < 0)
		return -1;
	if (ext2fs_blocks_count(w->fs->super) != blocks ||
	    w->fs->desc_blocks >= CONTENT_FIRST_BLOCK)
		return fault_set(w->fault, FAULT_INTERNAL, "the file system cannot be laid out");
	/* All at once and before libext2fs allocates anything: what is placed later is not free. */
	w->placed_end = w->next_block + table_blocks(w->fs) + w->placed_blocks;
	mark_used(w, w->next_block, w->placed_end - w->next_block);
	place_tables(w);
	for (uint32_t i = 0; i < w->inode_count; i++) {
		const struct inode *inode = w->inodes[i];

		for (uint32_t j = 0; inode->type == INODE_TYPE_FILE && j < inode->file.extent_count;
		     j++)
			mark_used(w, inode->file.extents[j].physical,
				  inode->file.extents[j].blocks);
	}
	ext4fs_reserve_inodes(w->fs);
	return 0;
}

/* ---- inodes ---- */

static const uint16_t type_modes[] = {
	[INODE_TYPE_FILE] = LINUX_S_IFREG,    [INODE_TYPE_DIRECTORY] = LINUX_S_IFDIR,
	[INODE_TYPE_SYMLINK] = LINUX_S_IFLNK, [INODE_TYPE_CHAR] = LINUX_S_IFCHR,
	[INODE_TYPE_BLOCK] = LINUX_S_IFBLK,   [INODE_TYPE_FIFO] = LINUX_S_IFIFO,
};

static const uint8_t type_file_types[] = {
	[INODE_TYPE_FILE] = EXT2_FT_REG_FILE,   [INODE_TYPE_DIRECTORY] = EXT2_FT_DIR,
	[INODE_TYPE_SYMLINK] = EXT2_FT_SYMLINK, [INODE_TYPE_CHAR] = EXT2_FT_CHRDEV,
	[INODE_TYPE_BLOCK] = EXT2_FT_BLKDEV,    [INODE_TYPE_FIFO] = EXT2_FT_FIFO,
};

/* Seconds that fit into 34 bits, from 1901 on, in two fields. */
static void encode_time(int64_t s, uint32_t ns, __u32 *ret_low, __u32 *ret_extra)
{
	const int64_t min = INT32_MIN, max = INT32_MAX + 3 * (1LL << 32);

	s = MAX(min, MIN(s, max));
	*ret_low = (__u32)s;
	*ret_extra = (uint32_t)((s - (int32_t)s) >> 32) | ns << 2;
}

static void fill_meta(const struct inode *inode, struct ext2_inode_large *raw)
{
	const struct inode_meta *meta = &inode->meta;
	__u32 low, extra;

	memset(raw, 0, sizeof(*raw));
	raw->i_mode = (__u16)(type_modes[inode->type] | (meta->mode & 07777));
	raw->i_uid = (__u16)meta->uid;
	raw->i_gid = (__u16)meta->gid;
	raw->osd2.linux2.l_i_uid_high = (__u16)(meta->uid >> 16);
	raw->osd2.linux2.l_i_gid_high = (__u16)(meta->gid >> 16);
	raw->i_links_count = (__u16)inode->links;
	raw->i_extra_isize = sizeof(*raw) - EXT2_GOOD_OLD_INODE_SIZE;
	encode_time(meta->mtime_s, meta->mtime_ns, &low, &extra);
	raw->i_mtime = raw->i_atime = raw->i_ctime = raw->i_crtime = low;
	raw->i_mtime_extra = raw->i_atime_extra = raw->i_ctime_extra = raw->i_crtime_extra = extra;
}

static void set_size(struct ext2_inode_large *raw, uint64_t bytes)
{
	raw->i_size = (__u32)bytes;
	raw->i_size_high = (__u32)(bytes >> 32);
}

static struct ext2_inode *as_small(struct ext2_inode_large *raw)
{
	return (struct ext2_inode *)raw;
}

/* An extent tree that is in the inode itself, with what fits there. */
static void set_extents(struct ext2_inode_large *raw, const struct extent *extents, uint32_t count)
{
	struct {
		struct ext3_extent_header header;
		struct ext3_extent extents[EXTENTS_IN_INODE];
	} root = {0};

	assert(count <= EXTENTS_IN_INODE && sizeof(root) == sizeof(raw->i_block));
	root.header.eh_magic = ext2fs_cpu_to_le16(EXT3_EXT_MAGIC);
	root.header.eh_entries = ext2fs_cpu_to_le16(count);
	root.header.eh_max = ext2fs_cpu_to_le16(EXTENTS_IN_INODE);
	for (uint32_t i = 0; i < count; i++) {
		root.extents[i].ee_block = ext2fs_cpu_to_le32(extents[i].logical);
		root.extents[i].ee_len = ext2fs_cpu_to_le16(extents[i].blocks);
		root.extents[i].ee_start = ext2fs_cpu_to_le32((__u32)extents[i].physical);
		root.extents[i].ee_start_hi = ext2fs_cpu_to_le16(extents[i].physical >> 32);
	}
	memcpy(raw->i_block, &root, sizeof(root));
	raw->i_flags |= EXT4_EXTENTS_FL;
}

/* Blocks that lie in one piece, as however many extents that takes. Fits for 512 MiB. */
static int set_piece(struct writer *w, struct ext2_inode_large *raw, uint64_t first,
		     uint64_t blocks)
{
	struct extent extents[EXTENTS_IN_INODE];
	uint32_t count = 0;

	ext2fs_iblk_set(w->fs, as_small(raw), blocks);
	for (uint64_t done = 0; done < blocks; count++) {
		if (count == EXTENTS_IN_INODE)
			return fault_set(w->fault, FAULT_TOO_MANY_ENTRIES,
					 "a directory has too many entries");
		extents[count].logical = (uint32_t)done;
		extents[count].physical = first + done;
		extents[count].blocks = (uint32_t)MIN(blocks - done, (uint64_t)EXTENT_BLOCKS_MAX);
		done += extents[count].blocks;
	}
	set_extents(raw, extents, count);
	return 0;
}

static int insert_extents(struct writer *w, const struct inode *inode, struct ext2_inode_large *raw)
{
	ext2_extent_handle_t handle;
	errcode_t error;

	error = ext2fs_extent_open2(w->fs, inode->number, as_small(raw), &handle);
	if (error != 0)
		return ext4fs_fault(error, "cannot write a file's extents", w->fault);
	for (uint32_t i = 0; i < inode->file.extent_count && error == 0; i++) {
		const struct extent *extent = &inode->file.extents[i];
		struct ext2fs_extent generic = {
			.e_lblk = extent->logical,
			.e_pblk = extent->physical,
			.e_len = extent->blocks,
		};

		error = ext2fs_extent_insert(handle, i > 0 ? EXT2_EXTENT_INSERT_AFTER : 0,
					     &generic);
	}
	ext2fs_extent_free(handle);
	return error == 0 ? 0 : ext4fs_fault(error, "cannot write a file's extents", w->fault);
}

static int write_raw(struct writer *w, ext2_ino_t number, struct ext2_inode_large *raw)
{
	errcode_t error = ext2fs_write_inode_full(w->fs, number, as_small(raw), sizeof(*raw));

	return error == 0 ? 0 : ext4fs_fault(error, "cannot write an inode", w->fault);
}

static int write_file(struct writer *w, const struct inode *inode, struct ext2_inode_large *raw)
{
	uint64_t blocks = 0;

	for (uint32_t i = 0; i < inode->file.extent_count; i++)
		blocks += inode->file.extents[i].blocks;
	set_size(raw, inode->file.bytes);
	ext2fs_iblk_set(w->fs, as_small(raw), blocks);
	if (inode->file.extent_count <= EXTENTS_IN_INODE) {
		set_extents(raw, inode->file.extents, inode->file.extent_count);
		return write_raw(w, inode->number, raw);
	}
	set_extents(raw, NULL, 0);
	/* The extent functions work on the inode as it is in the file. */
	if (write_raw(w, inode->number, raw) < 0)
		return -1;
	return insert_extents(w, inode, raw);
}

static int write_block(struct writer *w, uint64_t block, const void *data)
{
	errcode_t error = io_channel_write_blk64(w->fs->io, block, 1, data);

	return error == 0 ? 0 : ext4fs_fault(error, "cannot write the file system", w->fault);
}

static int write_symlink(struct writer *w, const struct inode *inode, struct ext2_inode_large *raw)
{
	size_t bytes = strlen(inode->symlink.target);
	char data[EXT4FS_BLOCK_BYTES] = {0};
	uint64_t block;

	set_size(raw, bytes);
	if (!is_slow_symlink(inode)) {
		memcpy(raw->i_block, inode->symlink.target, bytes);
		return write_raw(w, inode->number, raw);
	}
	assert(bytes < sizeof(data));
	memcpy(data, inode->symlink.target, bytes);
	block = place(w, 1);
	if (write_block(w, block, data) < 0 || set_piece(w, raw, block, 1) < 0)
		return -1;
	return write_raw(w, inode->number, raw);
}

/* Device numbers as Linux keeps them: the old way where they fit, else the new one. */
static int write_device(struct writer *w, const struct inode *inode, struct ext2_inode_large *raw)
{
	uint32_t major = inode->device.major, minor = inode->device.minor;

	if (major < 256 && minor < 256)
		raw->i_block[0] = major << 8 | minor;
	else
		raw->i_block[1] = (minor & 0xff) | major << 8 | (minor & ~0xffU) << 12;
	return write_raw(w, inode->number, raw);
}

/* ---- directories ---- */

struct directory_writer {
	struct writer *w;
	ext2_ino_t number;
	uint64_t block;
	size_t used;
	struct ext2_dir_entry *last;
	char data[EXT4FS_BLOCK_BYTES];
};

static int flush_directory(struct directory_writer *d)
{
	errcode_t error;

	/* The last entry's length reaches to the checksum. */
	d->last->rec_len = (__u16)(DIRECTORY_BYTES - (size_t)((char *)d->last - d->data));
	ext2fs_initialize_dirent_tail(d->w->fs,
				      (struct ext2_dir_entry_tail *)(d->data + DIRECTORY_BYTES));
	error = ext2fs_write_dir_block4(d->w->fs, d->block, d->data, 0, d->number);
	if (error != 0)
		return ext4fs_fault(error, "cannot write a directory", d->w->fault);
	d->block++;
	d->used = 0;
	memset(d->data, 0, sizeof(d->data));
	return 0;
}

static int add_entry(struct directory_writer *d, const char *name, size_t name_bytes,
		     const struct inode *inode)
{
	size_t bytes = entry_bytes(name_bytes);

	if (d->used + bytes > DIRECTORY_BYTES && flush_directory(d) < 0)
		return -1;
	d->last = (struct ext2_dir_entry *)(d->data + d->used);
	d->last->inode = inode->number;
	d->last->rec_len = (__u16)bytes;
	d->last->name_len = (__u16)(name_bytes | (size_t)type_file_types[inode->type] << 8);
	memcpy(d->last->name, name, name_bytes);
	d->used += bytes;
	return 0;
}

static int write_entries(struct writer *w, const struct inode *inode, uint64_t first)
{
	struct directory_writer d = {.w = w, .number = inode->number, .block = first};
	const struct link *self = inode->directory.self;

	if (add_entry(&d, ".", 1, inode) < 0 ||
	    add_entry(&d, "..", 2, self != NULL ? self->parent : inode) < 0)
		return -1;
	for (const struct link *link = inode->directory.first; link != NULL; link = link->next) {
		if (add_entry(&d, link->name, link->name_bytes, link->inode) < 0)
			return -1;
	}
	return flush_directory(&d);
}

static int write_directory(struct writer *w, const struct inode *inode,
			   struct ext2_inode_large *raw)
{
	uint64_t blocks = directory_blocks(inode), first = place(w, blocks);
	uint32_t links = 2 + inode->directory.subdirectories;

	/* Past the limit a directory says 1 (dir_nlink). */
	raw->i_links_count = (__u16)(links < IMAGE_LINKS_MAX ? links : 1);
	set_size(raw, blocks * EXT4FS_BLOCK_BYTES);
	if (set_piece(w, raw, first, blocks) < 0 || write_raw(w, inode->number, raw) < 0)
		return -1;
	return write_entries(w, inode, first);
}

/* ---- all of it ---- */

static int write_xattrs(struct writer *w, const struct inode *inode)
{
	struct ext2_xattr_handle *handle;
	errcode_t error;

	error = ext2fs_xattrs_open(w->fs, inode->number, &handle);
	if (error != 0)
		return ext4fs_fault(error, "cannot write extended attributes", w->fault);
	for (const struct xattr *x = inode->meta.xattrs; x != NULL && error == 0; x = x->next)
		error = ext2fs_xattr_set(handle, x->name, x->value, x->value_bytes);
	ext2fs_xattrs_close(&handle);
	if (error == EXT2_ET_EA_NO_SPACE)
		return fault_set(w->fault, FAULT_XATTR_TOO_LARGE,
				 "a file's extended attributes do not fit into one block");
	return error == 0 ? 0 : ext4fs_fault(error, "cannot write extended attributes", w->fault);
}

static int write_inode(struct writer *w, const struct inode *inode)
{
	static int (*const writers[])(struct writer *, const struct inode *,
				      struct ext2_inode_large *) = {
		[INODE_TYPE_FILE] = write_file,       [INODE_TYPE_DIRECTORY] = write_directory,
		[INODE_TYPE_SYMLINK] = write_symlink, [INODE_TYPE_CHAR] = write_device,
		[INODE_TYPE_BLOCK] = write_device,    [INODE_TYPE_FIFO] = write_device,
	};
	struct ext2_inode_large raw;

	ext2fs_inode_alloc_stats2(w->fs, inode->number, +1, inode->type == INODE_TYPE_DIRECTORY);
	fill_meta(inode, &raw);
	if (writers[inode->type](w, inode, &raw) < 0)
		return -1;
	return inode->meta.xattrs != NULL ? write_xattrs(w, inode) : 0;
}

static int write_all(struct writer *w, int fd, const struct ext4_identity *identity)
{
	if (lay_out(w, fd, identity) < 0 || write_inode(w, w->tree->root) < 0)
		return -1;
	for (uint32_t i = 0; i < w->inode_count; i++) {
		if (write_inode(w, w->inodes[i]) < 0)
			return -1;
	}
	assert(w->next_block == w->placed_end);
	return 0;
}

int ext4_write_tree(int fd, struct tree *tree, uint64_t next_block,
		    const struct ext4_identity *identity, struct ext4_size *ret_size,
		    struct fault *fault)
{
	struct writer w = {.tree = tree, .next_block = next_block, .fault = fault};
	_cleanup_free_ struct inode **inodes = mem_zalloc(tree->inode_count * sizeof(inodes[0]));
	_cleanup_ext4fs_ ext2_filsys fs = NULL;
	int r;

	w.inodes = inodes;
	tree->root->number = EXT2_ROOT_INO;
	number_directory(&w, tree->root);
	count_needs(&w, tree->root);
	for (uint32_t i = 0; i < w.inode_count; i++)
		count_needs(&w, w.inodes[i]);
	r = write_all(&w, fd, identity);
	fs = w.fs;
	if (r < 0)
		return -1;
	return ext4fs_close(take_ptr(fs), ret_size, fault);
}
