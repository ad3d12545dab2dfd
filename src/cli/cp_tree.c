/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way down is a stack of open directories; the entry that is being written has its head in `head`
 * and, if it is a file, its contents in `fd`, whose parts are `extents`.
 */
#include "cp_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "cli.h"
#include "cp_host.h"
#include "wire/tar.h"

#define EXTENTS_MAX  1024
#define DEPTH_MAX    (WIRE_TAR_PATH_BYTES_MAX / 2 + 1)
#define SECTOR_BYTES 512
/* Blocks of an entry: names and targets as pax records, and the list of extents. */
#define HEAD_BYTES_MAX (EXTENTS_MAX * 64 + 8 * WIRE_TAR_PATH_BYTES_MAX)

/* A file with more than one name, by the first of them. */
struct link {
	dev_t device;
	ino_t inode;
	char name[];
};

struct frame {
	DIR *dir;
	size_t path_length; /* of it in the archive */
};

struct cp_tree {
	char *root, *name;
	bool follow, keep_owners;
	bool begun, ended;
	struct frame *frames; /* DEPTH_MAX of them */
	size_t depth;
	char path[WIRE_TAR_PATH_BYTES_MAX + 1]; /* of the entry, in the archive */
	void *links;                            /* tsearch(3) */

	uint8_t head[HEAD_BYTES_MAX]; /* bytes that go before the contents, or the end */
	size_t head_length, head_at;
	int fd; /* -1: no contents */
	struct wire_tar_extent extents[EXTENTS_MAX];
	size_t extent_count, extent_at;
	uint64_t extent_done;
	size_t padding; /* behind the contents */
	struct err err;
};

static int fail(struct cp_tree *tree, int errnum)
{
	return err_set_errno(&tree->err, errnum, "'%s%s'", tree->root,
			     tree->path + MIN(strlen(tree->name), strlen(tree->path)));
}

/* ---- files with several names ---- */

static int compare_links(const void *a, const void *b)
{
	const struct link *one = a, *other = b;

	if (one->device != other->device)
		return one->device < other->device ? -1 : 1;
	return one->inode == other->inode ? 0 : one->inode < other->inode ? -1 : 1;
}

/* The name under which the file is in the archive already; NULL: this is the first. */
static const char *find_link(struct cp_tree *tree, const struct stat *st)
{
	size_t length = strlen(tree->path) + 1;
	struct link *link = mem_zalloc(sizeof(*link) + length), **found;

	link->device = st->st_dev;
	link->inode = st->st_ino;
	memcpy(link->name, tree->path, length);
	found = tsearch(link, &tree->links, compare_links);
	if (found != NULL && *found == link)
		return NULL;
	free(link);
	return found != NULL ? (*found)->name : NULL;
}

/* ---- entries ---- */

static int put_head(struct cp_tree *tree, const struct wire_tar_entry *entry)
{
	long n = wire_tar_write(entry, tree->head, sizeof(tree->head));

	if (n < 0)
		return fail(tree, (int)-n);
	tree->head_length = (size_t)n;
	tree->head_at = 0;
	return 0;
}

static void read_stat(const struct cp_tree *tree, const struct stat *st,
		      struct wire_tar_entry *ret_entry)
{
	struct timespec mtime = cp_host_mtime(st);

	*ret_entry = (struct wire_tar_entry){
		.path = tree->path,
		.mode = st->st_mode & 07777,
		.uid = tree->keep_owners ? st->st_uid : 0,
		.gid = tree->keep_owners ? st->st_gid : 0,
		.mtime_s = mtime.tv_sec,
		.mtime_ns = (uint32_t)mtime.tv_nsec,
	};
}

/* Where there are contents; false where there are none any more. */
static bool find_extent(int fd, uint64_t from, uint64_t bytes, struct wire_tar_extent *ret_extent)
{
	off_t start = lseek(fd, (off_t)from, SEEK_DATA), stop;

	if (start < 0 || (uint64_t)start >= bytes)
		return false;
	stop = lseek(fd, start, SEEK_HOLE);
	if (stop < 0 || (uint64_t)stop > bytes)
		stop = (off_t)bytes;
	*ret_extent = (struct wire_tar_extent){(uint64_t)start, (uint64_t)(stop - start)};
	return stop > start;
}

static void find_extents(struct cp_tree *tree, int fd, struct wire_tar_entry *entry)
{
	struct wire_tar_extent extent;
	uint64_t at = 0;

	if (lseek(fd, 0, SEEK_DATA) < 0 && errno != ENXIO)
		return; /* its file system knows no holes */
	tree->extent_count = 0;
	entry->sparse = true;
	entry->extents = tree->extents;
	while (at < entry->bytes && find_extent(fd, at, entry->bytes, &extent)) {
		/* A file in too many parts: the last has the rest, holes and all. */
		if (tree->extent_count == EXTENTS_MAX - 1)
			extent.bytes = entry->bytes - extent.offset;
		tree->extents[tree->extent_count++] = extent;
		at = extent.offset + extent.bytes;
	}
	entry->extent_count = tree->extent_count;
}

static int put_file(struct cp_tree *tree, int at, const char *leaf, int nofollow)
{
	_cleanup_fd_ int fd =
		openat(at, leaf, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | nofollow);
	struct wire_tar_entry entry;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(tree, errno);
	if (!S_ISREG(st.st_mode))
		return fail(tree, ESTALE);
	read_stat(tree, &st, &entry);
	entry.type = WIRE_TAR_FILE;
	entry.bytes = (uint64_t)st.st_size;
	tree->extents[0] = (struct wire_tar_extent){0, entry.bytes};
	tree->extent_count = 1;
	if ((uint64_t)st.st_blocks * SECTOR_BYTES < entry.bytes)
		find_extents(tree, fd, &entry);
	r = put_head(tree, &entry);
	if (r < 0)
		return r;
	tree->extent_at = 0;
	tree->extent_done = 0;
	tree->padding = wire_tar_padding(wire_tar_content_bytes(&entry));
	tree->fd = take_fd(fd);
	return 0;
}

static int put_symlink(struct cp_tree *tree, int at, const char *leaf, const struct stat *st)
{
	char target[WIRE_TAR_PATH_BYTES_MAX + 1];
	struct wire_tar_entry entry;
	ssize_t n = readlinkat(at, leaf, target, sizeof(target));

	if (n < 0 || (size_t)n >= sizeof(target))
		return fail(tree, n < 0 ? errno : ENAMETOOLONG);
	target[n] = '\0';
	read_stat(tree, st, &entry);
	entry.type = WIRE_TAR_SYMLINK;
	entry.target = target;
	return put_head(tree, &entry);
}

static int put_directory(struct cp_tree *tree, int at, const char *leaf, int nofollow)
{
	_cleanup_fd_ int fd = openat(at, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC | nofollow);
	struct wire_tar_entry entry;
	struct stat st;
	DIR *dir;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(tree, errno);
	if (tree->depth == DEPTH_MAX)
		return fail(tree, ENAMETOOLONG);
	read_stat(tree, &st, &entry);
	entry.type = WIRE_TAR_DIRECTORY;
	r = put_head(tree, &entry);
	if (r < 0)
		return r;
	dir = fdopendir(fd);
	if (dir == NULL)
		return fail(tree, errno);
	(void)take_fd(fd);
	tree->frames[tree->depth++] = (struct frame){dir, strlen(tree->path)};
	return 0;
}

static int put_special(struct cp_tree *tree, const struct stat *st)
{
	struct wire_tar_entry entry;

	if (S_ISSOCK(st->st_mode)) {
		cli_say("left out: '%s' is a socket", tree->path);
		return 0;
	}
	read_stat(tree, st, &entry);
	entry.type = S_ISFIFO(st->st_mode)  ? WIRE_TAR_FIFO
		     : S_ISCHR(st->st_mode) ? WIRE_TAR_CHAR
					    : WIRE_TAR_BLOCK;
	if (!S_ISFIFO(st->st_mode))
		cp_host_device(st, &entry);
	return put_head(tree, &entry);
}

static int put_entry(struct cp_tree *tree, int at, const char *leaf, bool follow)
{
	int nofollow = follow ? 0 : O_NOFOLLOW;
	const char *first = NULL;
	struct stat st;

	if (fstatat(at, leaf, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return fail(tree, errno);
	if (S_ISDIR(st.st_mode))
		return put_directory(tree, at, leaf, nofollow);
	if (S_ISLNK(st.st_mode))
		return put_symlink(tree, at, leaf, &st);
	if (!S_ISREG(st.st_mode))
		return put_special(tree, &st);
	if (st.st_nlink > 1)
		first = find_link(tree, &st);
	if (first != NULL) {
		struct wire_tar_entry entry;

		read_stat(tree, &st, &entry);
		entry.type = WIRE_TAR_HARDLINK;
		entry.target = first;
		return put_head(tree, &entry);
	}
	return put_file(tree, at, leaf, nofollow);
}

/* ---- the walk ---- */

static void leave(struct cp_tree *tree)
{
	closedir(tree->frames[--tree->depth].dir);
}

static int put_child(struct cp_tree *tree, struct frame *frame, const char *leaf)
{
	size_t length = strlen(leaf);

	if (frame->path_length + 1 + length > WIRE_TAR_PATH_BYTES_MAX)
		return fail(tree, ENAMETOOLONG);
	tree->path[frame->path_length] = '/';
	memcpy(tree->path + frame->path_length + 1, leaf, length + 1);
	return put_entry(tree, dirfd(frame->dir), leaf, false);
}

/* The next entry, or the end. */
static int step(struct cp_tree *tree)
{
	if (!tree->begun) {
		tree->begun = true;
		return put_entry(tree, AT_FDCWD, tree->root, tree->follow);
	}
	while (tree->depth > 0) {
		struct frame *frame = &tree->frames[tree->depth - 1];
		struct dirent *entry;

		tree->path[frame->path_length] = '\0';
		errno = 0;
		entry = readdir(frame->dir);
		if (entry == NULL && errno != 0)
			return fail(tree, errno);
		if (entry == NULL)
			leave(tree);
		else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return put_child(tree, frame, entry->d_name);
	}
	tree->ended = true;
	memset(tree->head, 0, WIRE_TAR_END_BYTES);
	tree->head_length = WIRE_TAR_END_BYTES;
	tree->head_at = 0;
	return 0;
}

/* ---- bytes ---- */

static ssize_t read_contents(struct cp_tree *tree, char *data, size_t length)
{
	const struct wire_tar_extent *extent = &tree->extents[tree->extent_at];
	ssize_t n;

	if (tree->extent_at == tree->extent_count) {
		tree->fd = fd_close(tree->fd);
		memset(tree->head, 0, tree->padding);
		tree->head_length = tree->padding;
		tree->head_at = 0;
		return 0;
	}
	length = (size_t)MIN((uint64_t)length, extent->bytes - tree->extent_done);
	if (length == 0) {
		tree->extent_at++;
		tree->extent_done = 0;
		return 0;
	}
	do {
		n = pread(tree->fd, data, length, (off_t)(extent->offset + tree->extent_done));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail(tree, errno);
	if (n == 0)
		return err_set(&tree->err, EIO, "'%s' became shorter while it was read",
			       tree->path);
	tree->extent_done += (uint64_t)n;
	return n;
}

ssize_t cp_tree_read(void *user, char *data, size_t length)
{
	struct cp_tree *tree = user;
	ssize_t n = 0;

	for (;;) {
		if (tree->head_at < tree->head_length) {
			length = MIN(length, tree->head_length - tree->head_at);
			memcpy(data, tree->head + tree->head_at, length);
			tree->head_at += length;
			return (ssize_t)length;
		}
		if (tree->fd >= 0)
			n = read_contents(tree, data, length);
		else if (tree->ended)
			return 0;
		else
			n = step(tree);
		if (n != 0)
			return n;
	}
}

const struct err *cp_tree_error(const struct cp_tree *tree)
{
	return &tree->err;
}

/* ---- life ---- */

int cp_tree_new(const struct cp_tree_options *options, struct cp_tree **ret_tree, struct err *err)
{
	struct cp_tree *tree;

	if (strlen(options->name) > WIRE_TAR_PATH_BYTES_MAX)
		return err_set_errno(err, ENAMETOOLONG, "'%s'", options->path);
	tree = mem_new(struct cp_tree);
	tree->fd = -1;
	tree->root = mem_strdup(options->path);
	tree->name = mem_strdup(options->name);
	tree->follow = options->follow;
	tree->keep_owners = options->keep_owners;
	tree->frames = mem_zalloc(DEPTH_MAX * sizeof(*tree->frames));
	memcpy(tree->path, options->name, strlen(options->name) + 1);
	*ret_tree = tree;
	return 0;
}

void cp_tree_free(struct cp_tree *tree)
{
	if (tree == NULL)
		return;
	while (tree->depth > 0)
		leave(tree);
	while (tree->links != NULL) {
		struct link *link = *(struct link **)tree->links;

		tdelete(link, &tree->links, compare_links);
		free(link);
	}
	fd_close(tree->fd);
	free(tree->root);
	free(tree->name);
	free(tree->frames);
	free(tree);
}
