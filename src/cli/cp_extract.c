/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `path` is the current entry's, below the directory. `frames` are the open directories on the way to
 * where the last entry went, the directory itself first: each was opened from the one before, by one
 * part of a name and without following a link. An entry elsewhere leaves those that are not on its
 * way, which is when their modes and times are set.
 */
#include "cp_extract.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/rand.h"
#include "cli.h"
#include "wire/tar.h"

#define ROOM_BYTES      (1024 * 1024)
#define DEPTH_MAX       512
#define TEMPORARY_BYTES 32
#define MODE_BITS       01777
#define SET_ID_BITS     06000

struct frame {
	int fd;
	size_t path_length; /* how much of `way` it is */
	bool has_meta;
	struct wire_tar_entry meta; /* mode, owner, time */
};

struct cp_extract {
	char *root, *name;
	bool only_directory, keep_owners;
	bool begun, ended;
	char path[2 * WIRE_TAR_PATH_BYTES_MAX];
	char way[2 * WIRE_TAR_PATH_BYTES_MAX];
	struct frame frames[DEPTH_MAX];
	size_t depth;
	int fd;                          /* of the file that is being written; -1: none */
	char temporary[TEMPORARY_BYTES]; /* its name so far, in the last frame; "": none */
	struct wire_tar_reader reader;
	struct err err;
	uint64_t room[ROOM_BYTES / sizeof(uint64_t)];
};

/* ---- errors ---- */

static int fail(struct cp_extract *extract, int errnum)
{
	if (errnum == ENOSPC || errnum == EDQUOT)
		return err_set(&extract->err, errnum,
			       "this host's disk is full at '%s': make room and copy again",
			       extract->path);
	return err_set_errno(&extract->err, errnum, "'%s'", extract->path);
}

static int refuse(struct cp_extract *extract, const char *what)
{
	return err_set(&extract->err, EBADMSG, "the machine's archive %s: '%s'", what,
		       extract->reader.entry.path);
}

/* ---- names ---- */

static bool has_dots(const char *path)
{
	while (*path != '\0') {
		size_t length = strcspn(path, "/");

		if (length == 2 && path[0] == '.' && path[1] == '.')
			return true;
		path += length;
		path += strspn(path, "/");
	}
	return false;
}

/* Behind the first part, which must be the root. NULL: it is not. */
static const char *skip_root(const struct cp_extract *extract, const char *path)
{
	size_t length = strlen(extract->root);

	if (strncmp(path, extract->root, length) != 0 ||
	    (path[length] != '/' && path[length] != '\0'))
		return NULL;
	return path + length;
}

/* Where a name of the archive goes: without empty parts and ".", "" for the directory itself. */
static int map_name(struct cp_extract *extract, const char *from, char *ret_path)
{
	const char *rest = skip_root(extract, from);
	size_t length = 0;

	if (from[0] == '/' || has_dots(from))
		return refuse(extract, "has a name that leads out of it");
	if (rest == NULL)
		return refuse(extract, "has a name that was not asked for");
	if (extract->name != NULL) {
		length = strlen(extract->name);
		memcpy(ret_path, extract->name, length);
	}
	while (*(rest += strspn(rest, "/")) != '\0') {
		size_t part = strcspn(rest, "/");

		if (part != 1 || rest[0] != '.') {
			if (length > 0)
				ret_path[length++] = '/';
			memcpy(ret_path + length, rest, part);
			length += part;
		}
		rest += part;
	}
	ret_path[length] = '\0';
	return 0;
}

/* ---- directories ---- */

static mode_t mode_of(const struct cp_extract *extract, const struct wire_tar_entry *entry)
{
	return entry->mode & (extract->keep_owners ? MODE_BITS | SET_ID_BITS : MODE_BITS);
}

/* Owner first: a change of owner takes the set-ID bits away. */
static int set_meta(struct cp_extract *extract, int fd, const struct wire_tar_entry *entry)
{
	struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = (time_t)entry->mtime_s, .tv_nsec = (long)entry->mtime_ns},
	};

	if (extract->keep_owners && fchown(fd, (uid_t)entry->uid, (gid_t)entry->gid) < 0)
		return -errno;
	if (fchmod(fd, mode_of(extract, entry)) < 0)
		return -errno;
	return futimens(fd, times) < 0 ? -errno : 0;
}

static int leave(struct cp_extract *extract)
{
	struct frame *frame = &extract->frames[--extract->depth];
	int r = 0;

	if (frame->has_meta)
		r = set_meta(extract, frame->fd, &frame->meta);
	fd_close(frame->fd);
	return r < 0 ? fail(extract, -r) : 0;
}

static int fail_directory(struct cp_extract *extract, int at, const char *name, int errnum)
{
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		return err_set(&extract->err, ELOOP,
			       "'%s' goes through a symbolic link, '%s', and nothing is written "
			       "through one: copy to where it leads",
			       extract->path, name);
	if (errnum == ENOTDIR)
		return err_set(&extract->err, ENOTDIR,
			       "'%s' is no directory, and a directory does not replace it",
			       extract->path);
	return fail(extract, errnum);
}

static int enter(struct cp_extract *extract, const char *name, size_t path_length)
{
	int at = extract->frames[extract->depth - 1].fd, fd;
	bool made = mkdirat(at, name, 0700) == 0;

	if (!made && errno != EEXIST)
		return fail(extract, errno);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail_directory(extract, at, name, errno);
	if (extract->depth == DEPTH_MAX) {
		fd_close(fd);
		return refuse(extract, "is deeper than 512 directories");
	}
	extract->frames[extract->depth++] = (struct frame){
		.fd = fd,
		.path_length = path_length,
		.has_meta = made,
		.meta = {.mode = 0755, .uid = geteuid(), .gid = getegid()},
	};
	if (made)
		extract->frames[extract->depth - 1].meta.mtime_s = time(NULL);
	return 0;
}

static bool is_on_way(const char *path, size_t length, const char *way, size_t way_length)
{
	return way_length == 0 || (way_length <= length && memcmp(path, way, way_length) == 0 &&
				   (way_length == length || path[way_length] == '/'));
}

/* Makes the last frame the directory at the first `length` bytes of `path`. */
static int go_to(struct cp_extract *extract, const char *path, size_t length)
{
	char name[NAME_MAX + 1];
	size_t at;
	int r = 0;

	while (r >= 0 && !is_on_way(path, length, extract->way,
				    extract->frames[extract->depth - 1].path_length))
		r = leave(extract);
	at = extract->frames[extract->depth - 1].path_length;
	while (r >= 0 && at < length) {
		size_t part;

		at += path[at] == '/';
		part = strcspn(path + at, "/");
		if (part > NAME_MAX)
			return fail(extract, ENAMETOOLONG);
		memcpy(name, path + at, part);
		name[part] = '\0';
		at += part;
		memcpy(extract->way, path, at);
		r = enter(extract, name, at);
	}
	return r;
}

/* The same for all but the last part, which is `ret_name`. */
static int go_to_parent(struct cp_extract *extract, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');

	*ret_name = slash != NULL ? slash + 1 : path;
	return go_to(extract, path, slash != NULL ? (size_t)(slash - path) : 0);
}

/* ---- entries ---- */

static int parent_fd(const struct cp_extract *extract)
{
	return extract->frames[extract->depth - 1].fd;
}

static void name_temporary(struct cp_extract *extract)
{
	char digits[17];
	uint64_t number;

	rand_bytes(&number, sizeof(number));
	hex_format(&number, sizeof(number), digits);
	snprintf(extract->temporary, sizeof(extract->temporary), ".krunctl.%s", digits);
}

static void drop_temporary(struct cp_extract *extract)
{
	extract->fd = fd_close(extract->fd);
	if (extract->temporary[0] != '\0')
		unlinkat(parent_fd(extract), extract->temporary, 0);
	extract->temporary[0] = '\0';
}

/* What is whole gets its name. */
static int keep(struct cp_extract *extract)
{
	const char *slash = strrchr(extract->path, '/');
	int at = parent_fd(extract);

	if (renameat(at, extract->temporary, at, slash != NULL ? slash + 1 : extract->path) < 0) {
		if (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST)
			return err_set(&extract->err, EISDIR,
				       "'%s' is a directory, and nothing else replaces it",
				       extract->path);
		return fail(extract, errno);
	}
	/* Between two names of one file a rename does nothing. */
	drop_temporary(extract);
	return 0;
}

static int begin_file(struct cp_extract *extract, const struct wire_tar_entry *entry)
{
	name_temporary(extract);
	extract->fd = openat(parent_fd(extract), extract->temporary,
			     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (extract->fd < 0) {
		extract->temporary[0] = '\0';
		return fail(extract, errno);
	}
	if (entry->bytes > INT64_MAX || ftruncate(extract->fd, (off_t)entry->bytes) < 0)
		return fail(extract, entry->bytes > INT64_MAX ? EFBIG : errno);
	return 0;
}

static int end_file(struct cp_extract *extract)
{
	int r = set_meta(extract, extract->fd, &extract->reader.entry);

	/* Some file systems say only here that there was no room. */
	if (close(take_fd(extract->fd)) < 0 && r >= 0)
		r = -errno;
	return r < 0 ? fail(extract, -r) : keep(extract);
}

static int make_symlink(struct cp_extract *extract, const struct wire_tar_entry *entry)
{
	struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = (time_t)entry->mtime_s, .tv_nsec = (long)entry->mtime_ns},
	};
	int at = parent_fd(extract);

	name_temporary(extract);
	if (symlinkat(entry->target, at, extract->temporary) < 0) {
		extract->temporary[0] = '\0';
		return fail(extract, errno);
	}
	if (extract->keep_owners && fchownat(at, extract->temporary, (uid_t)entry->uid,
					     (gid_t)entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(extract, errno);
	/* A link without its time is a link all the same. */
	(void)!utimensat(at, extract->temporary, times, AT_SYMLINK_NOFOLLOW);
	return keep(extract);
}

/* Opens what a hard link names, part by part as everything else, but makes nothing. */
static int open_parent_of(struct cp_extract *extract, const char *path, int *ret_fd)
{
	_cleanup_fd_ int fd = dup(extract->frames[0].fd);
	char name[NAME_MAX + 1];

	for (const char *slash; fd >= 0 && (slash = strchr(path, '/')) != NULL; path = slash + 1) {
		size_t part = (size_t)(slash - path);
		int next;

		if (part > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, part);
		name[part] = '\0';
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -errno;
		fd_close(fd);
		fd = next;
	}
	if (fd < 0)
		return -errno;
	*ret_fd = take_fd(fd);
	return 0;
}

static int make_hardlink(struct cp_extract *extract, const struct wire_tar_entry *entry)
{
	char path[2 * WIRE_TAR_PATH_BYTES_MAX];
	_cleanup_fd_ int from = -1;
	const char *slash;
	int r;

	r = map_name(extract, entry->target, path);
	if (r < 0)
		return r;
	r = open_parent_of(extract, path, &from);
	if (r < 0)
		return fail(extract, -r);
	slash = strrchr(path, '/');
	name_temporary(extract);
	if (linkat(from, slash != NULL ? slash + 1 : path, parent_fd(extract), extract->temporary,
		   0) < 0) {
		extract->temporary[0] = '\0';
		return fail(extract, errno);
	}
	return keep(extract);
}

static int make_directory(struct cp_extract *extract, const struct wire_tar_entry *entry)
{
	struct frame *frame;
	int r;

	/* The user's own directory stays as it is. */
	if (extract->path[0] == '\0')
		return 0;
	r = go_to(extract, extract->path, strlen(extract->path));
	if (r < 0)
		return r;
	frame = &extract->frames[extract->depth - 1];
	frame->has_meta = true;
	frame->meta = *entry;
	return 0;
}

static int take_entry(struct cp_extract *extract)
{
	const struct wire_tar_entry *entry = &extract->reader.entry;
	const char *name;
	int r;

	r = map_name(extract, entry->path, extract->path);
	if (r < 0)
		return r;
	if (extract->keep_owners && (entry->uid < 0 || entry->uid >= UINT32_MAX || entry->gid < 0 ||
				     entry->gid >= UINT32_MAX))
		return refuse(extract, "has an owner that cannot be");
	if (!extract->begun && extract->only_directory && entry->type != WIRE_TAR_DIRECTORY)
		return err_set(&extract->err, ENOTDIR, "'%s' is not a directory", entry->path);
	extract->begun = true;
	if (entry->type == WIRE_TAR_DIRECTORY)
		return make_directory(extract, entry);
	if (extract->path[0] == '\0')
		return refuse(extract, "has something else than a directory for its root");
	r = go_to_parent(extract, extract->path, &name);
	if (r < 0)
		return r;
	switch (entry->type) {
	case WIRE_TAR_FILE:
		return begin_file(extract, entry);
	case WIRE_TAR_SYMLINK:
		return make_symlink(extract, entry);
	case WIRE_TAR_HARDLINK:
		return make_hardlink(extract, entry);
	default:
		cli_say("left out: '%s' is a device or a pipe", extract->path);
		return 0;
	}
}

static int write_piece(struct cp_extract *extract, const struct wire_tar_piece *piece)
{
	size_t at = 0;

	while (extract->fd >= 0 && at < piece->length) {
		ssize_t n = pwrite(extract->fd, piece->data + at, piece->length - at,
				   (off_t)(piece->offset + at));

		if (n < 0 && errno != EINTR)
			return fail(extract, errno);
		at += (size_t)MAX(n, (ssize_t)0);
	}
	return 0;
}

/* ---- bytes ---- */

static int take_event(struct cp_extract *extract, int event, const struct wire_tar_piece *piece)
{
	switch (event) {
	case WIRE_TAR_ENTRY:
		return take_entry(extract);
	case WIRE_TAR_DATA:
		return write_piece(extract, piece);
	case WIRE_TAR_DONE:
		return extract->fd >= 0 ? end_file(extract) : 0;
	case WIRE_TAR_END:
		extract->ended = true;
		return 0;
	default:
		return err_set(&extract->err, EBADMSG, "the machine's archive is damaged: %s",
			       extract->reader.problem);
	}
}

int cp_extract_feed(void *user, const char *data, size_t length)
{
	struct cp_extract *extract = user;
	const uint8_t *at = (const uint8_t *)data;
	struct wire_tar_piece piece;
	int event, r = 0;

	if (extract->err.errnum != 0)
		return -extract->err.errnum;
	while (r >= 0 && !extract->ended) {
		event = wire_tar_read(&extract->reader, &at, &length, &piece);
		if (event == WIRE_TAR_MORE)
			return 0;
		r = take_event(extract, event, &piece);
	}
	return r;
}

int cp_extract_end(struct cp_extract *extract, struct err *err)
{
	int r = 0;

	if (extract->err.errnum == 0 && !extract->ended)
		err_set(&extract->err, EBADMSG, "the machine's archive ends too early");
	if (extract->err.errnum == 0 && !extract->begun)
		err_set(&extract->err, EBADMSG, "the machine's archive is empty");
	while (r >= 0 && extract->err.errnum == 0 && extract->depth > 1)
		r = leave(extract);
	if (extract->err.errnum != 0)
		return err_set(err, extract->err.errnum, "%s", extract->err.text);
	return 0;
}

const struct err *cp_extract_error(const struct cp_extract *extract)
{
	return &extract->err;
}

/* ---- life ---- */

int cp_extract_new(const struct cp_extract_options *options, struct cp_extract **ret_extract,
		   struct err *err)
{
	_cleanup_fd_ int fd = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct cp_extract *extract;

	if (fd < 0)
		return err_set_errno(err, errno, "'%s'", options->directory);
	if (options->name != NULL && strlen(options->name) > NAME_MAX)
		return err_set_errno(err, ENAMETOOLONG, "'%s'", options->name);
	extract = mem_new(struct cp_extract);
	extract->root = mem_strdup(options->root);
	extract->name = mem_strdup_or_null(options->name);
	extract->only_directory = options->only_directory;
	extract->keep_owners = options->keep_owners;
	extract->fd = -1;
	extract->frames[extract->depth++] = (struct frame){.fd = take_fd(fd)};
	wire_tar_reader_init(&extract->reader, extract->room, sizeof(extract->room));
	*ret_extract = extract;
	return 0;
}

void cp_extract_free(struct cp_extract *extract)
{
	if (extract == NULL)
		return;
	drop_temporary(extract);
	while (extract->depth > 0) {
		/* Also of a copy that failed: half a tree, but no directory that cannot be used. */
		if (extract->depth > 1)
			(void)!leave(extract);
		else
			fd_close(extract->frames[--extract->depth].fd);
	}
	free(extract->root);
	free(extract->name);
	free(extract);
}
