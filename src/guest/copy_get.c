/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files become an archive.
 *
 * The tree is walked by open directories and never by paths, so that whoever moves directories meanwhile
 * cannot lead us elsewhere. A name is looked at before it is opened, and what was opened is looked at
 * again: only regular files are ever read. The size that a header promises is kept.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "copy.h"
#include "fd.h"
#include "wire/tar.h"

#define DEPTH_MAX        256 /* of directories; each is open */
#define EXTENTS_MAX      1024
#define RECORDS_BYTES    (64 * KIB)
#define ATTRIBUTES_BYTES (64 * KIB)
#define SMALL_BYTES_MAX  4096 /* what sysfs says of all its files */
#define OUT_BYTES        (256 * KIB)
#define HEAD_BYTES_MAX   (RECORDS_BYTES + EXTENTS_MAX * 42 + 4 * WIRE_TAR_PATH_BYTES_MAX)
#define SECTOR_BYTES     512
#define LINKS_MAX        4096
#define LINK_BYTES       (256 * KIB)

/* A file with more than one name, by the first of them. */
struct link {
	dev_t device;
	ino_t inode;
	uint32_t name_at;
};

static struct {
	int out_fd;
	bool entry_only;
	dev_t device; /* of the directory that the copy began with */
	struct failure *failure;

	char name[WIRE_TAR_PATH_BYTES_MAX + 1]; /* of the current entry, in the archive */
	size_t name_bytes;
	uint64_t entries; /* that are in the archive */

	struct link links[LINKS_MAX];
	size_t link_count;
	char link_names[LINK_BYTES];
	size_t link_names_bytes;

	char target[WIRE_TAR_PATH_BYTES_MAX + 1];
	struct wire_tar_extent extents[EXTENTS_MAX];
	uint8_t records[RECORDS_BYTES];
	char attributes[ATTRIBUTES_BYTES];
	uint8_t value[ATTRIBUTES_BYTES];

	uint8_t out[OUT_BYTES];
	size_t out_bytes;
} get;

static int fail_entry_errno(const char *what)
{
	return copy_fail_errno(get.failure, "cannot %s %.400s", what, get.name);
}

/* ---- output ---- */

static int flush(void)
{
	size_t done = 0;

	while (done < get.out_bytes) {
		ssize_t n = write(get.out_fd, get.out + done, get.out_bytes - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return copy_fail_errno(get.failure, "cannot write the archive");
		done += (size_t)n;
	}
	get.out_bytes = 0;
	return 0;
}

static int put_data(const uint8_t *data, size_t bytes)
{
	while (bytes > 0) {
		size_t n = MIN(bytes, sizeof(get.out) - get.out_bytes);

		memcpy(get.out + get.out_bytes, data, n);
		get.out_bytes += n;
		data += n;
		bytes -= n;
		if (get.out_bytes == sizeof(get.out) && flush() < 0)
			return -1;
	}
	return 0;
}

static int put_zeros(uint64_t bytes)
{
	while (bytes > 0) {
		size_t n = (size_t)MIN(bytes, sizeof(get.out) - get.out_bytes);

		memset(get.out + get.out_bytes, 0, n);
		get.out_bytes += n;
		bytes -= n;
		if (get.out_bytes == sizeof(get.out) && flush() < 0)
			return -1;
	}
	return 0;
}

static int put_head(const struct wire_tar_entry *entry)
{
	long n;

	if (sizeof(get.out) - get.out_bytes < HEAD_BYTES_MAX && flush() < 0)
		return -1;
	n = wire_tar_write(entry, get.out + get.out_bytes, sizeof(get.out) - get.out_bytes);
	if (n < 0)
		return failure_set(get.failure, WIRE_COPY_FAILED,
				   "%.400s: its header cannot be written", get.name);
	get.out_bytes += (size_t)n;
	get.entries++;
	return 0;
}

/* ---- names ---- */

/* Appends to the current entry's name; the caller cuts it off again. */
static int push_name(const char *name, const char *end)
{
	size_t bytes = strlen(name), end_bytes = strlen(end);

	if (bytes + end_bytes > WIRE_TAR_PATH_BYTES_MAX - get.name_bytes)
		return failure_set(get.failure, WIRE_COPY_FAILED,
				   "a path is longer than %d bytes: %.400s",
				   WIRE_TAR_PATH_BYTES_MAX, get.name);
	memcpy(get.name + get.name_bytes, name, bytes);
	memcpy(get.name + get.name_bytes + bytes, end, end_bytes + 1);
	get.name_bytes += bytes + end_bytes;
	return 0;
}

static void cut_name(size_t bytes)
{
	get.name_bytes = bytes;
	get.name[bytes] = '\0';
}

/* The name under which a file is in the archive already, else NULL; from now on it is. */
static const char *find_link(const struct stat *st)
{
	struct link *link = get.links;

	for (; link < get.links + get.link_count; link++) {
		if (link->inode == st->st_ino && link->device == st->st_dev)
			return get.link_names + link->name_at;
	}
	/* More of them than there is room for are files of their own. */
	if (get.link_count == LINKS_MAX || get.name_bytes + 1 > LINK_BYTES - get.link_names_bytes)
		return NULL;
	*link = (struct link){
		.device = st->st_dev,
		.inode = st->st_ino,
		.name_at = (uint32_t)get.link_names_bytes,
	};
	memcpy(get.link_names + get.link_names_bytes, get.name, get.name_bytes + 1);
	get.link_names_bytes += get.name_bytes + 1;
	get.link_count++;
	return NULL;
}

/* ---- attributes ---- */

/* The rest is of the machine or of its file system. */
static bool is_wanted_attribute(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0;
}

static size_t read_attribute(int fd, const char *name, size_t at)
{
	ssize_t n = fgetxattr(fd, name, get.value, sizeof(get.value));
	struct wire_tar_xattr xattr = {
		.name = name,
		.name_bytes = strlen(name),
		.value = get.value,
		.value_bytes = (size_t)MAX(n, 0),
	};
	long written;

	if (n < 0)
		return at;
	written = wire_tar_xattr_put(&xattr, get.records + at, sizeof(get.records) - at);
	if (written < 0)
		copy_warn("%.400s: its extended attributes are too long", get.name);
	return at + (size_t)MAX(written, 0);
}

static void read_attributes(int fd, struct wire_tar_entry *entry)
{
	ssize_t n = flistxattr(fd, get.attributes, sizeof(get.attributes));
	size_t at = 0;

	for (const char *name = get.attributes; n > 0 && name < get.attributes + n;
	     name += strlen(name) + 1) {
		if (is_wanted_attribute(name))
			at = read_attribute(fd, name, at);
	}
	entry->records = get.records;
	entry->record_bytes = at;
}

static void read_stat(const struct stat *st, struct wire_tar_entry *ret_entry)
{
	*ret_entry = (struct wire_tar_entry){
		.path = get.name,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime_s = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
	};
}

/* ---- regular files ---- */

/* The next part that has contents; false: none. What cannot be found out has contents. */
static bool find_extent(int fd, uint64_t from, uint64_t end, struct wire_tar_extent *ret_extent)
{
	off_t start = lseek(fd, (off_t)from, SEEK_DATA), stop;

	if ((start < 0 && errno == ENXIO) || start >= (off_t)end)
		return false;
	start = MAX(start, (off_t)from);
	stop = lseek(fd, start, SEEK_HOLE);
	if (stop <= start || stop > (off_t)end)
		stop = (off_t)end;
	ret_extent->offset = (uint64_t)start;
	ret_extent->bytes = (uint64_t)(stop - start);
	return true;
}

static void find_extents(int fd, struct wire_tar_entry *entry)
{
	struct wire_tar_extent extent;
	uint64_t at = 0;

	if (lseek(fd, 0, SEEK_DATA) < 0 && errno != ENXIO)
		return; /* its file system knows no holes */
	entry->sparse = true;
	entry->extents = get.extents;
	while (at < entry->bytes && find_extent(fd, at, entry->bytes, &extent)) {
		/* A file in too many parts: the last has the rest, holes and all. */
		if (entry->extent_count == EXTENTS_MAX - 1)
			extent.bytes = entry->bytes - extent.offset;
		get.extents[entry->extent_count++] = extent;
		at = extent.offset + extent.bytes;
	}
}

static int put_contents(int fd, uint64_t offset, uint64_t bytes)
{
	while (bytes > 0) {
		size_t size = (size_t)MIN(bytes, sizeof(get.out) - get.out_bytes);
		ssize_t n = pread(fd, get.out + get.out_bytes, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_entry_errno("read");
		if (n == 0) {
			copy_warn("%.400s became shorter while it was read", get.name);
			return put_zeros(bytes);
		}
		get.out_bytes += (size_t)n;
		offset += (uint64_t)n;
		bytes -= (uint64_t)n;
		if (get.out_bytes == sizeof(get.out) && flush() < 0)
			return -1;
	}
	return 0;
}

static int put_file_contents(int fd, const struct wire_tar_entry *entry)
{
	int r = 0;

	if (!entry->sparse)
		r = put_contents(fd, 0, entry->bytes);
	for (size_t i = 0; i < entry->extent_count && r == 0; i++)
		r = put_contents(fd, entry->extents[i].offset, entry->extents[i].bytes);
	return r < 0 ? -1 : put_zeros(wire_tar_padding(wire_tar_content_bytes(entry)));
}

static int put_large_file(int fd, const struct stat *st, struct wire_tar_entry *entry)
{
	entry->bytes = (uint64_t)st->st_size;
	if ((uint64_t)st->st_blocks * SECTOR_BYTES < entry->bytes)
		find_extents(fd, entry);
	return put_head(entry) < 0 ? -1 : put_file_contents(fd, entry);
}

/* What fits is read first: files of the kernel's do not know their sizes. */
static int put_small_file(int fd, struct wire_tar_entry *entry)
{
	size_t bytes = 0;
	ssize_t n;

	do {
		n = pread(fd, get.value + bytes, sizeof(get.value) - bytes, (off_t)bytes);
		bytes += (size_t)MAX(n, 0);
	} while ((n > 0 && bytes < sizeof(get.value)) || (n < 0 && errno == EINTR));
	if (n < 0)
		return fail_entry_errno("read");
	entry->bytes = bytes;
	if (put_head(entry) < 0 || put_data(get.value, bytes) < 0)
		return -1;
	return put_zeros(wire_tar_padding(bytes));
}

static int put_open_file(int fd, const struct stat *st)
{
	struct wire_tar_entry entry;

	read_stat(st, &entry);
	entry.type = WIRE_TAR_FILE;
	read_attributes(fd, &entry);
	if (get.entry_only)
		return put_head(&entry);
	if (st->st_size <= SMALL_BYTES_MAX)
		return put_small_file(fd, &entry);
	return put_large_file(fd, st, &entry);
}

static int put_file(int parent, const char *leaf)
{
	_cleanup_fd_ int fd =
		openat(parent, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	/* It went away, or something else has its name. */
	if (fd < 0 && (errno == ENOENT || errno == ELOOP))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_entry_errno("read");
	return S_ISREG(st.st_mode) ? put_open_file(fd, &st) : 0;
}

/* ---- the others ---- */

static int put_hardlink(const struct stat *st, const char *target)
{
	struct wire_tar_entry entry;

	read_stat(st, &entry);
	entry.type = WIRE_TAR_HARDLINK;
	entry.target = target;
	return put_head(&entry);
}

static int put_symlink(int parent, const char *leaf, const struct stat *st)
{
	struct wire_tar_entry entry;
	ssize_t n = readlinkat(parent, leaf, get.target, sizeof(get.target));

	if (n < 0 && (errno == ENOENT || errno == EINVAL))
		return 0;
	if (n < 0 || n == (ssize_t)sizeof(get.target))
		return fail_entry_errno("read");
	get.target[n] = '\0';
	read_stat(st, &entry);
	entry.type = WIRE_TAR_SYMLINK;
	entry.target = get.target;
	return put_head(&entry);
}

static int put_node(const struct stat *st, enum wire_tar_type type)
{
	struct wire_tar_entry entry;

	read_stat(st, &entry);
	entry.type = type;
	if (type != WIRE_TAR_FIFO) {
		entry.major = major(st->st_rdev);
		entry.minor = minor(st->st_rdev);
	}
	return put_head(&entry);
}

static int put_socket(int depth)
{
	if (depth == 0)
		return failure_set(get.failure, WIRE_COPY_REFUSED, "%.400s is a socket", get.name);
	copy_warn("%.400s is a socket and left out", get.name);
	return 0;
}

static int put_entry(int parent, const char *leaf, int depth);

/* ---- directories ---- */

/* The descriptor is the stream's afterwards. */
static int put_children(int *fd, int depth)
{
	size_t name_bytes = get.name_bytes;
	DIR *directory = fdopendir(*fd);
	struct dirent *child;
	int r = 0;

	if (directory == NULL)
		return fail_entry_errno("read");
	*fd = -1;
	while (r == 0) {
		errno = 0;
		child = readdir(directory);
		if (child == NULL)
			break;
		if (strcmp(child->d_name, ".") == 0 || strcmp(child->d_name, "..") == 0)
			continue;
		r = push_name(child->d_name, "");
		if (r == 0)
			r = put_entry(dirfd(directory), child->d_name, depth + 1);
		cut_name(name_bytes);
	}
	if (r == 0 && errno != 0)
		r = fail_entry_errno("read");
	closedir(directory);
	return r;
}

static int put_open_directory(int *fd, const struct stat *st, int depth)
{
	struct wire_tar_entry entry;

	if (push_name("", "/") < 0)
		return -1;
	read_stat(st, &entry);
	entry.type = WIRE_TAR_DIRECTORY;
	read_attributes(*fd, &entry);
	if (put_head(&entry) < 0)
		return -1;
	if (get.entry_only || st->st_dev != get.device)
		return 0;
	if (depth == DEPTH_MAX)
		return failure_set(get.failure, WIRE_COPY_FAILED,
				   "directories are nested more than %d deep: %.400s", DEPTH_MAX,
				   get.name);
	return put_children(fd, depth);
}

static int put_directory(int parent, const char *leaf, int depth)
{
	_cleanup_fd_ int fd = openat(parent, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR) && depth > 0)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_entry_errno("read");
	if (depth == 0)
		get.device = st.st_dev;
	return put_open_directory(&fd, &st, depth);
}

/* ---- entries ---- */

static int put_by_type(int parent, const char *leaf, const struct stat *st, int depth)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFDIR:
		return put_directory(parent, leaf, depth);
	case S_IFREG:
		return put_file(parent, leaf);
	case S_IFLNK:
		return put_symlink(parent, leaf, st);
	case S_IFCHR:
		return put_node(st, WIRE_TAR_CHAR);
	case S_IFBLK:
		return put_node(st, WIRE_TAR_BLOCK);
	case S_IFIFO:
		return put_node(st, WIRE_TAR_FIFO);
	default:
		return put_socket(depth);
	}
}

/* The current name is the entry's. One that went away meanwhile is left out. */
static int put_entry(int parent, const char *leaf, int depth)
{
	size_t link_count = get.link_count;
	uint64_t entries = get.entries;
	const char *first = NULL;
	struct stat st;
	int r;

	if (fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && depth > 0 ? 0 : fail_entry_errno("find");
	if (st.st_nlink > 1 && !S_ISDIR(st.st_mode) && !S_ISSOCK(st.st_mode))
		first = find_link(&st);
	if (first != NULL)
		return put_hardlink(&st, first);
	r = put_by_type(parent, leaf, &st, depth);
	/* Nothing can be a link to what was left out. */
	if (get.entries == entries)
		get.link_count = link_count;
	return r;
}

/* "/a/dir/." and what has no last name: the content, as "./...". */
static int put_content_of(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return copy_fail_errno(get.failure, "cannot read %.400s", path);
	get.device = st.st_dev;
	if (push_name(".", "") < 0)
		return -1;
	return put_open_directory(&fd, &st, 0);
}

/* A path by its directory and its last name. One that ends with a slash has to be a directory. */
static int put_path(const char *path)
{
	char directory[LIMIT_PATH_BYTES + 1], leaf[LIMIT_PATH_BYTES + 2];
	size_t bytes = strlen(path);
	bool has_slash = bytes > 0 && path[bytes - 1] == '/';
	_cleanup_fd_ int fd = -1;
	const char *start;
	struct stat st;

	while (bytes > 0 && path[bytes - 1] == '/')
		bytes--;
	if (bytes > LIMIT_PATH_BYTES)
		return failure_set(get.failure, WIRE_COPY_FAILED,
				   "the path is longer than %d bytes", (int)LIMIT_PATH_BYTES);
	memcpy(directory, path, bytes);
	directory[bytes] = '\0';
	start = strrchr(directory, '/');
	start = start != NULL ? start + 1 : directory;
	strcpy(leaf, start);
	if (leaf[0] == '\0' || strcmp(leaf, ".") == 0 || strcmp(leaf, "..") == 0)
		return put_content_of(path);
	directory[start - directory] = '\0';
	fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (push_name(leaf, "") < 0)
		return -1;
	if (has_slash)
		strcat(leaf, "/");
	/* Here the sentence can have the whole path. */
	if (fd < 0 || fstatat(fd, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return copy_fail_errno(get.failure, "cannot find %.400s", path);
	return put_entry(fd, leaf, 0);
}

int copy_get(int out_fd, const char *path, bool entry_only, struct failure *failure)
{
	get.out_fd = out_fd;
	get.entry_only = entry_only;
	get.failure = failure;
	get.link_count = get.link_names_bytes = get.out_bytes = 0;
	cut_name(0);
	/* An archive that is not whole has no end. */
	if (put_path(path) < 0)
		return -1;
	return put_zeros(WIRE_TAR_END_BYTES) < 0 ? -1 : flush();
}
