/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/rand.h"

#define BUCKETS_FIRST 1024
/* A path and the symlink targets put in front of what is left of it. */
#define RESOLVE_BYTES_MAX (2 * (IMAGE_PATH_BYTES_MAX + 1))

/* Names are hostile: without the seed they could all be made to fall into one bucket. */
static uint64_t hash_seed;

static uint32_t hash_name(const struct inode *directory, const char *name, size_t bytes)
{
	uint64_t hash = hash_seed ^ (uint64_t)(uintptr_t)directory;

	while (bytes > 0) {
		uint64_t word = 0;
		size_t step = MIN(bytes, sizeof(word));

		memcpy(&word, name, step);
		hash = (hash ^ word ^ (uint64_t)step << 56) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 29;
		name += step;
		bytes -= step;
	}
	hash *= 0xbf58476d1ce4e5b9ULL;
	return (uint32_t)(hash >> 32);
}

void tree_init(struct tree *tree, const struct limits *limits)
{
	struct inode_meta meta = {.mode = 0755};

	*tree = (struct tree){.limits = limits, .bucket_count = BUCKETS_FIRST};
	if (hash_seed == 0)
		rand_bytes(&hash_seed, sizeof(hash_seed));
	tree->buckets = mem_zalloc(tree->bucket_count * sizeof(struct link *));
	tree->root = tree_inode_new(tree, INODE_TYPE_DIRECTORY, &meta);
	tree->root->links = 1;
}

void tree_done(struct tree *tree)
{
	tree->release = NULL;
	if (tree->root != NULL) {
		while (tree->root->directory.first != NULL)
			tree_unlink(tree, tree->root->directory.first); // NOLINT(*-unix.Malloc)
		tree_drop(tree, tree->root);
	}
	free(tree->buckets);
	*tree = (struct tree){0};
}

/* ---- xattrs ---- */

int xattr_add(struct xattr **list, const char *name, const void *value, size_t value_bytes,
	      struct fault *fault)
{
	size_t total = strlen(name) + value_bytes, count = 0;
	struct xattr **at, *xattr;

	for (at = list; *at != NULL; at = &(*at)->next) {
		total += strlen((*at)->name) + (*at)->value_bytes;
		count++;
	}
	if (count >= IMAGE_XATTRS_MAX || strlen(name) > IMAGE_NAME_BYTES_MAX ||
	    total > IMAGE_XATTR_BYTES_MAX)
		return fault_set(
			fault, FAULT_XATTR_TOO_LARGE,
			"its extended attributes are more than %d or take more than %d bytes",
			IMAGE_XATTRS_MAX, IMAGE_XATTR_BYTES_MAX);
	xattr = mem_new(struct xattr);
	xattr->name = mem_strdup(name);
	xattr->value = mem_dup(value, value_bytes);
	xattr->value_bytes = value_bytes;
	*at = xattr;
	return 0;
}

void xattr_free_all(struct xattr *list)
{
	while (list != NULL) {
		struct xattr *next = list->next;

		free(list->name);
		free(list->value);
		free(list);
		list = next;
	}
}

static size_t xattr_bytes(const struct xattr *list)
{
	size_t total = 0;

	for (; list != NULL; list = list->next)
		total += sizeof(*list) + strlen(list->name) + list->value_bytes;
	return total;
}

/* ---- inodes ---- */

struct inode *tree_inode_new(struct tree *tree, enum inode_type type, struct inode_meta *meta)
{
	struct inode *inode = mem_new(struct inode);

	inode->type = type;
	inode->meta = *meta;
	meta->xattrs = NULL;
	tree->inode_count++;
	tree->metadata_bytes += sizeof(*inode) + xattr_bytes(inode->meta.xattrs);
	return inode;
}

void tree_drop(struct tree *tree, struct inode *inode)
{
	if (inode->type == INODE_TYPE_FILE) {
		if (tree->release != NULL)
			tree->release(tree->release_context, inode->file.extents,
				      inode->file.extent_count);
		tree->metadata_bytes -= inode->file.extent_count * sizeof(struct extent);
		free(inode->file.extents);
	}
	if (inode->type == INODE_TYPE_SYMLINK) {
		if (inode->symlink.target != NULL)
			tree->metadata_bytes -= strlen(inode->symlink.target);
		free(inode->symlink.target);
	}
	tree->metadata_bytes -= sizeof(*inode) + xattr_bytes(inode->meta.xattrs);
	tree->inode_count--;
	xattr_free_all(inode->meta.xattrs);
	free(inode);
}

void tree_set_contents(struct tree *tree, struct inode *inode, uint64_t bytes,
		       struct extent *extents, uint32_t extent_count)
{
	assert(inode->type == INODE_TYPE_FILE && inode->file.extents == NULL);
	inode->file.bytes = bytes;
	inode->file.extents = extents;
	inode->file.extent_count = extent_count;
	tree->metadata_bytes += extent_count * sizeof(struct extent);
}

void tree_set_target(struct tree *tree, struct inode *inode, const char *target)
{
	assert(inode->type == INODE_TYPE_SYMLINK && inode->symlink.target == NULL);
	inode->symlink.target = mem_strdup(target);
	tree->metadata_bytes += strlen(target);
}

void tree_set_meta(struct tree *tree, struct inode *inode, struct inode_meta *meta)
{
	tree->metadata_bytes -= xattr_bytes(inode->meta.xattrs);
	xattr_free_all(inode->meta.xattrs);
	inode->meta = *meta;
	meta->xattrs = NULL;
	tree->metadata_bytes += xattr_bytes(inode->meta.xattrs);
}

/* ---- links ---- */

struct link *tree_find(const struct tree *tree, const struct inode *directory, const char *name)
{
	size_t bytes = strlen(name);
	uint32_t hash = hash_name(directory, name, bytes);
	struct link *link = tree->buckets[hash % tree->bucket_count];

	for (; link != NULL; link = link->hash_next) {
		if (link->hash == hash && link->parent == directory && link->name_bytes == bytes &&
		    memcmp(link->name, name, bytes) == 0)
			return link;
	}
	return NULL;
}

static void hash_insert(struct tree *tree, struct link *link)
{
	struct link **bucket = &tree->buckets[link->hash % tree->bucket_count];

	link->hash_next = *bucket;
	*bucket = link;
}

static void hash_remove(struct tree *tree, struct link *link)
{
	struct link **at = &tree->buckets[link->hash % tree->bucket_count];

	while (*at != link)
		at = &(*at)->hash_next;
	*at = link->hash_next;
}

static void hash_grow(struct tree *tree)
{
	struct link **old = tree->buckets;
	size_t old_count = tree->bucket_count;

	tree->bucket_count *= 4;
	tree->buckets = mem_zalloc(tree->bucket_count * sizeof(struct link *));
	for (size_t i = 0; i < old_count; i++) {
		struct link *next;

		for (struct link *link = old[i]; link != NULL; link = next) {
			next = link->hash_next;
			hash_insert(tree, link);
		}
	}
	free(old);
}

static int check_link(const struct tree *tree, const struct inode *directory,
		      const struct inode *inode, struct fault *fault)
{
	if (tree->link_count >= tree->limits->entries_max)
		return fault_set(fault, FAULT_TOO_MANY_ENTRIES,
				 "the image has more than %llu files",
				 (unsigned long long)tree->limits->entries_max);
	if (tree->metadata_bytes > tree->limits->metadata_bytes_max)
		return fault_set(fault, FAULT_TOO_MANY_ENTRIES,
				 "the image's names and attributes take more than %llu bytes",
				 (unsigned long long)tree->limits->metadata_bytes_max);
	if (inode->type != INODE_TYPE_DIRECTORY && inode->links >= IMAGE_LINKS_MAX)
		return fault_set(fault, FAULT_TOO_MANY_LINKS, "a file has more than %d hard links",
				 IMAGE_LINKS_MAX);
	if (inode->type == INODE_TYPE_DIRECTORY && directory->directory.depth + 1 > IMAGE_DEPTH_MAX)
		return fault_set(fault, FAULT_PATH_TOO_LONG,
				 "directories are nested deeper than %d", IMAGE_DEPTH_MAX);
	return 0;
}

int tree_link(struct tree *tree, struct inode *directory, const char *name, struct inode *inode,
	      uint16_t layer, struct fault *fault)
{
	size_t bytes = strlen(name);
	struct link *link;

	assert(directory->type == INODE_TYPE_DIRECTORY && bytes <= IMAGE_NAME_BYTES_MAX);
	if (check_link(tree, directory, inode, fault) < 0)
		return -1;
	if (tree->link_count >= tree->bucket_count)
		hash_grow(tree);
	link = mem_zalloc(sizeof(*link) + bytes + 1);
	link->parent = directory;
	link->inode = inode;
	link->layer = layer;
	link->name_bytes = (uint16_t)bytes;
	link->hash = hash_name(directory, name, bytes);
	memcpy(link->name, name, bytes);
	hash_insert(tree, link);
	link->previous = directory->directory.last;
	*(link->previous != NULL ? &link->previous->next : &directory->directory.first) = link;
	directory->directory.last = link;
	inode->links++;
	if (inode->type == INODE_TYPE_DIRECTORY) {
		inode->directory.self = link;
		inode->directory.depth = directory->directory.depth + 1;
		directory->directory.subdirectories++;
	}
	tree->link_count++;
	tree->metadata_bytes += sizeof(*link) + bytes;
	return 0;
}

static void remove_link(struct tree *tree, struct link *link)
{
	struct inode *directory = link->parent;

	hash_remove(tree, link);
	*(link->previous != NULL ? &link->previous->next : &directory->directory.first) =
		link->next;
	*(link->next != NULL ? &link->next->previous : &directory->directory.last) = link->previous;
	if (link->inode->type == INODE_TYPE_DIRECTORY)
		directory->directory.subdirectories--;
	tree->link_count--;
	tree->metadata_bytes -= sizeof(*link) + link->name_bytes;
	free(link);
}

void tree_unlink(struct tree *tree, struct link *link)
{
	struct inode *inode = link->inode;

	if (inode->type == INODE_TYPE_DIRECTORY) {
		/* The tree has no cycles, so this does not end with the inode gone. */
		while (inode->directory.first != NULL)
			tree_unlink(tree, inode->directory.first); // NOLINT(*-unix.Malloc)
	}
	remove_link(tree, link);
	if (--inode->links == 0)
		tree_drop(tree, inode);
}

void tree_unlink_older(struct tree *tree, struct link *link, uint16_t layer)
{
	if (link->layer < layer)
		tree_unlink(tree, link);
	else if (link->inode->type == INODE_TYPE_DIRECTORY)
		tree_clear_older(tree, link->inode, layer);
}

void tree_clear_older(struct tree *tree, struct inode *directory, uint16_t layer)
{
	struct link *next;

	for (struct link *link = directory->directory.first; link != NULL; link = next) {
		next = link->next;
		tree_unlink_older(tree, link, layer);
	}
}

/* ---- paths ---- */

/* The next name in a path, skipping slashes and "."; its length, 0 at the end. */
static size_t next_name(const char **path)
{
	size_t bytes;

	for (;;) {
		*path += strspn(*path, "/");
		bytes = strcspn(*path, "/");
		if (bytes != 1 || **path != '.')
			return bytes;
		*path += 1;
	}
}

/* Looks at each name of a path as it came in. `ret_last` points to the last one in it. */
static int check_path(const char *path, const char **ret_last, size_t *ret_last_bytes,
		      struct fault *fault)
{
	const char *at = path;
	size_t bytes;

	*ret_last = path;
	*ret_last_bytes = 0;
	if (strlen(path) > IMAGE_PATH_BYTES_MAX)
		return fault_set(fault, FAULT_PATH_TOO_LONG,
				 "a path is longer than %d bytes: %.100s...", IMAGE_PATH_BYTES_MAX,
				 path);
	while ((bytes = next_name(&at)) > 0) {
		if (bytes > IMAGE_NAME_BYTES_MAX)
			return fault_set(fault, FAULT_PATH_TOO_LONG,
					 "a name is longer than %d bytes: %.100s...",
					 IMAGE_NAME_BYTES_MAX, at);
		if (bytes == 2 && memcmp(at, "..", 2) == 0)
			return fault_set(fault, FAULT_PATH_UNSAFE,
					 "the path %.300s leads upwards with '..'", path);
		*ret_last = at;
		*ret_last_bytes = bytes;
		at += bytes;
	}
	return 0;
}

/* What is left to resolve: starts at `at`, ends with the buffer. */
struct resolve {
	struct inode *directory;
	const char *at;
	unsigned symlinks;
	char buffers[2][RESOLVE_BYTES_MAX + 1];
	unsigned in_use;
};

static int follow_symlink(const struct tree *tree, struct resolve *r, const struct inode *symlink,
			  struct fault *fault)
{
	const char *target = symlink->symlink.target;
	size_t target_bytes = strlen(target), rest_bytes = strlen(r->at);
	char *fresh = r->buffers[!r->in_use];

	if (++r->symlinks > IMAGE_SYMLINKS_MAX || target_bytes + rest_bytes + 1 > RESOLVE_BYTES_MAX)
		return fault_set(fault, FAULT_PATH_LOOP,
				 "more than %d symbolic links on the way, the last one to %.100s",
				 IMAGE_SYMLINKS_MAX, target);
	memcpy(fresh, target, target_bytes);
	fresh[target_bytes] = '/';
	memcpy(fresh + target_bytes + 1, r->at, rest_bytes + 1);
	r->in_use = !r->in_use;
	r->at = fresh;
	if (*target == '/')
		r->directory = tree->root;
	return 0;
}

static int make_parent(struct tree *tree, struct resolve *r, const char *name,
		       const struct tree_walk *walk, struct fault *fault)
{
	struct inode_meta meta = {.mode = 0755, .mtime_s = walk->mtime_s};
	struct inode *inode = tree_inode_new(tree, INODE_TYPE_DIRECTORY, &meta);

	if (tree_link(tree, r->directory, name, inode, walk->layer, fault) < 0) {
		tree_drop(tree, inode);
		return -1;
	}
	r->directory = inode;
	return 0;
}

/* Takes one name of what is left. */
static int resolve_step(struct tree *tree, struct resolve *r, size_t bytes,
			const struct tree_walk *walk, struct fault *fault)
{
	char name[IMAGE_NAME_BYTES_MAX + 1];
	struct link *link;

	if (bytes > IMAGE_NAME_BYTES_MAX)
		return fault_set(fault, FAULT_PATH_TOO_LONG,
				 "a symbolic link leads to a name longer than %d bytes",
				 IMAGE_NAME_BYTES_MAX);
	memcpy(name, r->at, bytes);
	name[bytes] = '\0';
	r->at += bytes;
	if (strcmp(name, "..") == 0) {
		if (r->directory->directory.self != NULL)
			r->directory = r->directory->directory.self->parent;
		return 0;
	}
	link = tree_find(tree, r->directory, name);
	if (link == NULL) {
		if (walk->create)
			return make_parent(tree, r, name, walk, fault);
		r->directory = NULL;
		return 0;
	}
	if (link->inode->type == INODE_TYPE_SYMLINK)
		return follow_symlink(tree, r, link->inode, fault);
	if (link->inode->type != INODE_TYPE_DIRECTORY) {
		/* Nothing can be below it, which is an answer to those who only ask. */
		r->directory = NULL;
		return walk->create ? fault_set(fault, FAULT_PATH_BLOCKED,
						"the parent %.200s is not a directory", name)
				    : 0;
	}
	if (walk->create)
		link->layer = walk->layer;
	r->directory = link->inode;
	return 0;
}

int tree_locate(struct tree *tree, const char *path, const struct tree_walk *walk,
		struct tree_place *ret_place, struct fault *fault)
{
	struct resolve r = {.directory = tree->root};
	const char *last;
	size_t last_bytes, bytes;

	if (check_path(path, &last, &last_bytes, fault) < 0)
		return -1;
	memcpy(r.buffers[0], path, (size_t)(last - path));
	r.buffers[0][last - path] = '\0';
	r.at = r.buffers[0];
	while (r.directory != NULL && (bytes = next_name(&r.at)) > 0) {
		if (resolve_step(tree, &r, bytes, walk, fault) < 0)
			return -1;
	}
	ret_place->directory = r.directory;
	memcpy(ret_place->name, last, last_bytes);
	ret_place->name[last_bytes] = '\0';
	return 0;
}
