/* SPDX-License-Identifier: Apache-2.0 */
#include "layer.h"

#include <string.h>

#include "tar.h"

#define WHITEOUT         ".wh."
#define WHITEOUT_BYTES   4
#define WHITEOUT_META    ".wh..wh."
#define WHITEOUT_OPAQUE  ".wh..wh..opq"
#define DEVICE_MAJOR_MAX 0xfff
#define DEVICE_MINOR_MAX 0xfffff

/* An entry on its way into the tree. */
struct entry {
	struct layer *layer;
	struct tar *tar;
	const struct wire_tar_entry *tar_entry;
	const char *path;
	struct inode_meta meta; /* owned until an inode takes it */
	struct tree_place place;
	struct fault *fault;
};

/* ---- metadata ---- */

/* What may be kept of extended attributes: the rest belongs to the host they come from. */
static bool is_wanted_xattr(const char *name)
{
	/* What speaks to the guest's overlayfs is not for an image to say. */
	if (strncmp(name, "trusted.overlay.", 16) == 0)
		return false;
	return strncmp(name, "user.", 5) == 0 || strncmp(name, "trusted.", 8) == 0 ||
	       strncmp(name, "security.", 9) == 0 || strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

/* The entry's attributes, but for those that are not wanted. */
static int read_xattrs(struct entry *e)
{
	char name[IMAGE_NAME_BYTES_MAX + 1];
	struct wire_tar_xattr xattr;
	size_t at = 0;

	while (wire_tar_xattr_next(e->tar_entry, &at, &xattr)) {
		if (xattr.name_bytes > IMAGE_NAME_BYTES_MAX ||
		    memchr(xattr.name, '\0', xattr.name_bytes) != NULL)
			return fault_set(
				e->fault, FAULT_XATTR_TOO_LARGE,
				"the name of an extended attribute is longer than %d bytes",
				IMAGE_NAME_BYTES_MAX);
		memcpy(name, xattr.name, xattr.name_bytes);
		name[xattr.name_bytes] = '\0';
		if (is_wanted_xattr(name) &&
		    xattr_add(&e->meta.xattrs, name, xattr.value, xattr.value_bytes, e->fault) < 0)
			return -1;
	}
	return 0;
}

static int read_meta(struct entry *e)
{
	const struct wire_tar_entry *entry = e->tar_entry;

	/* The last number means "no change" to the kernel. */
	if (entry->uid < 0 || entry->uid >= UINT32_MAX || entry->gid < 0 ||
	    entry->gid >= UINT32_MAX)
		return fault_set(e->fault, FAULT_ENTRY_UNSUPPORTED,
				 "the owner %lld:%lld is out of range", (long long)entry->uid,
				 (long long)entry->gid);
	e->meta.mode = entry->mode;
	e->meta.uid = (uint32_t)entry->uid;
	e->meta.gid = (uint32_t)entry->gid;
	e->meta.mtime_s = entry->mtime_s;
	e->meta.mtime_ns = entry->mtime_ns;
	return read_xattrs(e);
}

/* ---- whiteouts ---- */

enum kind { KIND_PLAIN, KIND_WHITEOUT, KIND_OPAQUE, KIND_IGNORED, KIND_BROKEN };

static enum kind kind_of_name(const char *name, size_t bytes)
{
	if (bytes < WHITEOUT_BYTES || memcmp(name, WHITEOUT, WHITEOUT_BYTES) != 0)
		return KIND_PLAIN;
	if (bytes == strlen(WHITEOUT_OPAQUE) && memcmp(name, WHITEOUT_OPAQUE, bytes) == 0)
		return KIND_OPAQUE;
	/* What aufs noted for itself. */
	if (bytes >= strlen(WHITEOUT_META) &&
	    memcmp(name, WHITEOUT_META, strlen(WHITEOUT_META)) == 0)
		return KIND_IGNORED;
	name += WHITEOUT_BYTES;
	bytes -= WHITEOUT_BYTES;
	if (bytes == 0 || (bytes == 1 && name[0] == '.') ||
	    (bytes == 2 && name[0] == '.' && name[1] == '.'))
		return KIND_BROKEN;
	return KIND_WHITEOUT;
}

/* The last name decides; below a name that is a whiteout there can be nothing. */
static enum kind kind_of_path(const char *path)
{
	enum kind kind = KIND_PLAIN;

	while (*(path += strspn(path, "/")) != '\0') {
		size_t bytes = strcspn(path, "/");

		if (!(bytes == 1 && *path == '.')) {
			if (kind == KIND_IGNORED)
				return KIND_IGNORED;
			if (kind != KIND_PLAIN)
				return KIND_BROKEN;
			kind = kind_of_name(path, bytes);
		}
		path += bytes;
	}
	return kind;
}

static int apply_whiteout(struct entry *e, enum kind kind)
{
	const struct tree_walk walk = {.create = false};
	struct tree *tree = e->layer->tree;
	struct link *link;

	if (tree_locate(tree, e->path, &walk, &e->place, e->fault) < 0)
		return -1;
	if (e->place.directory == NULL)
		return 0;
	if (kind == KIND_OPAQUE) {
		tree_clear_older(tree, e->place.directory, e->layer->index);
		return 0;
	}
	link = tree_find(tree, e->place.directory, e->place.name + WHITEOUT_BYTES);
	if (link != NULL)
		tree_unlink_older(tree, link, e->layer->index);
	return 0;
}

/* ---- entries ---- */

/* Puts the inode where the path says, in place of what is there. The inode is the tree's after it. */
static int put(struct entry *e, struct inode *inode)
{
	struct tree *tree = e->layer->tree;
	struct link *old = tree_find(tree, e->place.directory, e->place.name);
	int r;

	/* It may be linked below what goes away. */
	inode->links++;
	if (old != NULL)
		tree_unlink(tree, old);
	r = tree_link(tree, e->place.directory, e->place.name, inode, e->layer->index, e->fault);
	if (--inode->links == 0)
		tree_drop(tree, inode);
	return r;
}

static int put_new(struct entry *e, enum inode_type type)
{
	return put(e, tree_inode_new(e->layer->tree, type, &e->meta));
}

static int apply_directory(struct entry *e)
{
	struct tree *tree = e->layer->tree;
	struct link *old;

	if (e->place.name[0] == '\0') {
		tree_set_meta(tree, tree->root, &e->meta);
		return 0;
	}
	old = tree_find(tree, e->place.directory, e->place.name);
	if (old == NULL || old->inode->type != INODE_TYPE_DIRECTORY)
		return put_new(e, INODE_TYPE_DIRECTORY);
	old->layer = e->layer->index;
	tree_set_meta(tree, old->inode, &e->meta);
	return 0;
}

static int copy_data(struct entry *e)
{
	uint64_t offset = 0;

	for (;;) {
		const void *data;
		ssize_t n = tar_read(e->tar, &data, e->fault);

		if (n <= 0)
			return (int)n;
		if (content_write(e->layer->content, offset, data, (size_t)n, e->fault) < 0)
			return -1;
		offset += (uint64_t)n;
	}
}

static int apply_file(struct entry *e)
{
	struct content *content = e->layer->content;
	uint64_t bytes = e->tar_entry->bytes;
	struct extent *extents;
	struct inode *inode;
	uint32_t count;

	if (bytes > e->layer->limits->file_bytes_max)
		return fault_set(e->fault, FAULT_FILE_TOO_LARGE,
				 "its size of %llu bytes is more than %llu",
				 (unsigned long long)bytes,
				 (unsigned long long)e->layer->limits->file_bytes_max);
	content_begin(content, bytes);
	if (copy_data(e) < 0 || content_end(content, &extents, &count, e->fault) < 0)
		return -1;
	inode = tree_inode_new(e->layer->tree, INODE_TYPE_FILE, &e->meta);
	tree_set_contents(e->layer->tree, inode, bytes, extents, count);
	return put(e, inode);
}

static int apply_symlink(struct entry *e)
{
	struct inode *inode;

	if (e->tar_entry->target[0] == '\0')
		return fault_set(e->fault, FAULT_LINK_BROKEN, "the symbolic link has no target");
	/* Nobody looks at it, and everybody shows it. */
	e->meta.mode = 0777;
	inode = tree_inode_new(e->layer->tree, INODE_TYPE_SYMLINK, &e->meta);
	tree_set_target(e->layer->tree, inode, e->tar_entry->target);
	return put(e, inode);
}

static int apply_device(struct entry *e, enum inode_type type)
{
	uint32_t major = e->tar_entry->major, minor = e->tar_entry->minor;
	struct inode *inode;

	if (major > DEVICE_MAJOR_MAX || minor > DEVICE_MINOR_MAX)
		return fault_set(e->fault, FAULT_ENTRY_UNSUPPORTED,
				 "its device number is out of range");
	inode = tree_inode_new(e->layer->tree, type, &e->meta);
	inode->device.major = major;
	inode->device.minor = minor;
	return put(e, inode);
}

static int apply_char(struct entry *e)
{
	return apply_device(e, INODE_TYPE_CHAR);
}

static int apply_block(struct entry *e)
{
	return apply_device(e, INODE_TYPE_BLOCK);
}

static int apply_fifo(struct entry *e)
{
	return put_new(e, INODE_TYPE_FIFO);
}

static int apply_hardlink(struct entry *e)
{
	const char *target = e->tar_entry->target;
	const struct tree_walk walk = {.create = false};
	struct tree *tree = e->layer->tree;
	struct tree_place to;
	struct link *link = NULL, *old;

	if (tree_locate(tree, target, &walk, &to, e->fault) < 0)
		return -1;
	if (to.directory != NULL && to.name[0] != '\0')
		link = tree_find(tree, to.directory, to.name);
	if (link == NULL)
		return fault_set(e->fault, FAULT_LINK_BROKEN,
				 "the hard link's target %.200s is not in the image", target);
	if (link->inode->type == INODE_TYPE_DIRECTORY)
		return fault_set(e->fault, FAULT_LINK_BROKEN,
				 "the hard link's target %.200s is a directory", target);
	old = tree_find(tree, e->place.directory, e->place.name);
	if (old != NULL && old->inode == link->inode) {
		old->layer = e->layer->index;
		return 0;
	}
	return put(e, link->inode);
}

static int apply_by_type(struct entry *e)
{
	static int (*const appliers[])(struct entry *) = {
		[WIRE_TAR_FILE] = apply_file,       [WIRE_TAR_HARDLINK] = apply_hardlink,
		[WIRE_TAR_SYMLINK] = apply_symlink, [WIRE_TAR_CHAR] = apply_char,
		[WIRE_TAR_BLOCK] = apply_block,     [WIRE_TAR_DIRECTORY] = apply_directory,
		[WIRE_TAR_FIFO] = apply_fifo,
	};

	if (e->place.name[0] == '\0' && e->tar_entry->type != WIRE_TAR_DIRECTORY)
		return fault_set(e->fault, FAULT_PATH_UNSAFE,
				 "the root of the image must be a directory");
	return appliers[e->tar_entry->type](e);
}

static int apply_plain(struct entry *e)
{
	struct tree_walk walk = {.create = true, .layer = e->layer->index};
	int r;

	r = read_meta(e);
	if (r >= 0) {
		walk.mtime_s = e->meta.mtime_s;
		r = tree_locate(e->layer->tree, e->path, &walk, &e->place, e->fault);
	}
	if (r >= 0)
		r = apply_by_type(e);
	xattr_free_all(e->meta.xattrs);
	return r;
}

static int apply_entry(struct entry *e)
{
	enum kind kind = kind_of_path(e->path);

	switch (kind) {
	case KIND_PLAIN:
		return apply_plain(e);
	case KIND_WHITEOUT:
	case KIND_OPAQUE:
		return apply_whiteout(e, kind);
	case KIND_IGNORED:
		return 0;
	case KIND_BROKEN:
		break;
	}
	return fault_set(e->fault, FAULT_WHITEOUT_BROKEN,
			 "a whiteout that names nothing, or has something below it");
}

static int apply_next(struct layer *layer, struct tar *tar, const struct wire_tar_entry *tar_entry,
		      struct fault *fault)
{
	struct entry e = {.layer = layer, .tar = tar, .tar_entry = tar_entry, .fault = fault};

	if (++layer->entries > layer->limits->entries_max)
		return fault_set(fault, FAULT_TOO_MANY_ENTRIES,
				 "the layers have more than %llu entries",
				 (unsigned long long)layer->limits->entries_max);
	e.path = tar_entry->path;
	if (apply_entry(&e) < 0)
		return fault_prefix(fault, "%.200s", e.path);
	return 0;
}

int layer_apply(struct layer *layer, struct stream *from, struct fault *fault)
{
	const struct wire_tar_entry *entry;
	struct tar tar;
	int r;

	tar_init(&tar, from);
	do {
		r = tar_next(&tar, &entry, fault);
		if (r > 0 && apply_next(layer, &tar, entry, fault) < 0)
			r = -1;
	} while (r > 0);
	tar_done(&tar);
	return r;
}
