/* SPDX-License-Identifier: Apache-2.0 */
#include "boot.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/fd.h"
#include "content.h"
#include "digest.h"
#include "ext4.h"
#include "tree.h"

#define VMINIT_BYTES_MAX (64 * MIB)

static const char *const mount_points[] = {"dev", "proc", "sys", "newroot"};

static int add_mount_points(struct tree *tree, struct fault *fault)
{
	for (size_t i = 0; i < ARRAY_SIZE(mount_points); i++) {
		struct inode_meta meta = {.mode = 0755};
		struct inode *inode = tree_inode_new(tree, INODE_TYPE_DIRECTORY, &meta);

		if (tree_link(tree, tree->root, mount_points[i], inode, 0, fault) < 0) {
			tree_drop(tree, inode);
			return -1;
		}
	}
	return 0;
}

static int add_vminit(struct tree *tree, struct content *content, const struct buf *vminit,
		      struct fault *fault)
{
	struct inode_meta meta = {.mode = 0755};
	struct extent *extents;
	struct inode *inode;
	uint32_t count;

	content_begin(content, vminit->length);
	if (content_write(content, 0, vminit->data, vminit->length, fault) < 0 ||
	    content_end(content, &extents, &count, fault) < 0)
		return -1;
	inode = tree_inode_new(tree, INODE_TYPE_FILE, &meta);
	tree_set_contents(tree, inode, vminit->length, extents, count);
	if (tree_link(tree, tree->root, "vminit", inode, 0, fault) < 0) {
		tree_drop(tree, inode);
		return -1;
	}
	return 0;
}

static int read_vminit(int fd, struct buf *vminit, struct fault *fault)
{
	static const char elf_magic[] = {0x7f, 'E', 'L', 'F'};
	int r = fd_read_to_end(fd, vminit);

	if (r < 0)
		return fault_set_errno(fault, -r, "cannot read vminit");
	if (vminit->length < sizeof(elf_magic) ||
	    memcmp(vminit->data, elf_magic, sizeof(elf_magic)) != 0)
		return fault_set(fault, FAULT_USAGE, "vminit is not a program for Linux");
	return 0;
}

static int write_disk(struct tree *tree, struct content *content, const struct buf *vminit,
		      struct fault *fault)
{
	struct ext4_identity identity = {.time_s = 1};
	struct ext4_size size;

	digest_uuid(vminit->data, vminit->length, identity.uuid);
	if (add_mount_points(tree, fault) < 0 || add_vminit(tree, content, vminit, fault) < 0 ||
	    content_finish(content, fault) < 0)
		return -1;
	return ext4_write_tree(content->fd, tree, content->next_block, &identity, &size, fault);
}

int boot_write(int vminit_fd, int output_fd, struct fault *fault)
{
	_cleanup_buf_ struct buf vminit;
	struct content content;
	struct tree tree;
	int r;

	buf_init(&vminit, VMINIT_BYTES_MAX);
	/* It is installed for all users, and nothing in it is anybody's. */
	if (fchmod(output_fd, 0644) < 0)
		return fault_set_errno(fault, errno, "cannot write the boot disk");
	if (read_vminit(vminit_fd, &vminit, fault) < 0)
		return -1;
	tree_init(&tree, &limits_default);
	content_init(&content, output_fd, VMINIT_BYTES_MAX + MIB);
	r = write_disk(&tree, &content, &vminit, fault);
	content_done(&content);
	tree_done(&tree);
	return r;
}
