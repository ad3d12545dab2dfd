/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file system of an image while its layers are applied: names, owners, modes, times, links and
 * where file contents lie; no contents. Nothing in it is a path of the host, so nothing that an
 * archive says can point outside.
 *
 * Invariants: a directory has exactly one link, its depth is below IMAGE_DEPTH_MAX; `links` counts
 * the links of anything else; an inode whose last link goes is freed and its extents are handed to
 * the `release` function, which gives the blocks back.
 *
 * `layer` on a link says which layer last spoke of it: an opaque directory and a whiteout hide what
 * the layers below brought and never what their own layer brought, whatever the order of entries.
 */
#ifndef IMAGE_TREE_H
#define IMAGE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "limits.h"

/* A run of a file's blocks that lies in one piece. What no extent covers is a hole. */
struct extent {
	uint64_t physical; /* block of the image */
	uint32_t logical;  /* block of the file */
	uint32_t blocks;
};

struct xattr {
	struct xattr *next;
	char *name; /* with its prefix, "security.capability" */
	void *value;
	size_t value_bytes;
};

enum inode_type {
	INODE_TYPE_FILE,
	INODE_TYPE_DIRECTORY,
	INODE_TYPE_SYMLINK,
	INODE_TYPE_CHAR,
	INODE_TYPE_BLOCK,
	INODE_TYPE_FIFO,
};

/* What a tar entry says about any kind of file. */
struct inode_meta {
	uint32_t mode; /* permission bits and setuid, setgid, sticky */
	uint32_t uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	struct xattr *xattrs; /* owned */
};

struct inode {
	enum inode_type type;
	uint32_t links;
	uint32_t number; /* in the ext4 image; given when it is written */
	struct inode_meta meta;
	union {
		struct {
			struct extent *extents;
			uint32_t extent_count;
			uint64_t bytes;
		} file;
		struct {
			struct link *first, *last; /* in the order of arrival */
			struct link *self;         /* NULL for the root */
			uint32_t depth;
			uint32_t subdirectories;
		} directory;
		struct {
			char *target;
		} symlink;
		struct {
			uint32_t major, minor;
		} device;
	};
};

/* A name in a directory. */
struct link {
	struct inode *parent, *inode;
	struct link *next, *previous; /* in the directory */
	struct link *hash_next;
	uint32_t hash;
	uint16_t layer;
	uint16_t name_bytes;
	char name[]; /* NUL-terminated */
};

struct tree {
	struct inode *root;
	struct link **buckets;
	size_t bucket_count, link_count, inode_count;
	uint64_t metadata_bytes;
	const struct limits *limits;
	/* Gives back the blocks of a file that went away; may be NULL. */
	void (*release)(void *context, const struct extent *extents, uint32_t count);
	void *release_context;
};

/* The tree keeps `limits`. It begins with an empty root directory, mode 0755, root's. */
void tree_init(struct tree *tree, const struct limits *limits);
void tree_done(struct tree *tree);

/*
 * Where a path leads: the directory and the last name in it. Parents are looked up inside the image
 * with symlinks followed; the last name is not followed. A path may begin with "/" or "./", and may
 * not have ".." (symlink targets may; at the root it stays there). The root itself: directory is the
 * root, name is "".
 *
 * With `create`, parents that are missing become directories (mode 0755, root's, mtime of
 * `mtime_s`), and every parent is marked as spoken of by `layer`. Without it a missing parent gives
 * directory NULL, which is no failure.
 */
struct tree_place {
	struct inode *directory;
	char name[IMAGE_NAME_BYTES_MAX + 1];
};

struct tree_walk {
	bool create;
	uint16_t layer;
	int64_t mtime_s;
};

int tree_locate(struct tree *tree, const char *path, const struct tree_walk *walk,
		struct tree_place *ret_place, struct fault *fault) _must_check_;

/* The link of that name, or NULL. */
struct link *tree_find(const struct tree *tree, const struct inode *directory, const char *name);

/* A new inode without a link; `meta`'s xattrs become its. Link it or free it with tree_drop(). */
struct inode *tree_inode_new(struct tree *tree, enum inode_type type,
			     struct inode_meta *meta) _must_check_;
void tree_drop(struct tree *tree, struct inode *inode);

/* What a new file or symlink holds; the extents become the inode's, the target is copied. */
void tree_set_contents(struct tree *tree, struct inode *inode, uint64_t bytes,
		       struct extent *extents, uint32_t extent_count);
void tree_set_target(struct tree *tree, struct inode *inode, const char *target);

/* Links the inode under a name that is not there yet. */
int tree_link(struct tree *tree, struct inode *directory, const char *name, struct inode *inode,
	      uint16_t layer, struct fault *fault) _must_check_;

/* Takes the link away, and all below it where it is a directory's. */
void tree_unlink(struct tree *tree, struct link *link);

/* The same for what layers before `layer` brought; what `layer` brought stays, parents included. */
void tree_unlink_older(struct tree *tree, struct link *link, uint16_t layer);
void tree_clear_older(struct tree *tree, struct inode *directory, uint16_t layer);

/* Replaces owner, mode, times and xattrs; takes the xattrs. */
void tree_set_meta(struct tree *tree, struct inode *inode, struct inode_meta *meta);

/* Puts an attribute at the end of the list. -1 past the limits. */
int xattr_add(struct xattr **list, const char *name, const void *value, size_t value_bytes,
	      struct fault *fault) _must_check_;
void xattr_free_all(struct xattr *list);

#endif
