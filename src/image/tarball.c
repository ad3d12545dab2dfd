/* SPDX-License-Identifier: Apache-2.0 */
#include "tarball.h"

#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "ratio.h"

#define LINKS_MAX 8

/* ---- spool ---- */

int tarball_needs_spool(int fd, struct fault *fault)
{
	uint8_t head[8];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return fault_set_errno(fault, errno, "cannot read the archive");
	if (!S_ISREG(st.st_mode))
		return fault_set(fault, FAULT_USAGE, "the archive must be a regular file");
	n = pread(fd, head, sizeof(head), 0);
	if (n < 0)
		return fault_set_errno(fault, errno, "cannot read the archive");
	switch (stream_detect(head, (size_t)n)) {
	case COMPRESSION_NONE:
		return 0;
	case COMPRESSION_GZIP:
	case COMPRESSION_ZSTD:
		return 1;
	case COMPRESSION_OTHER:
		break;
	}
	return fault_set(fault, FAULT_ARCHIVE_UNSUPPORTED,
			 "the archive is compressed in a way that is not supported: use gzip, zstd "
			 "or none");
}

static int copy_to_spool(struct inflate *inflate, const struct file_stream *file, int spool_fd,
			 const struct limits *limits, struct fault *fault)
{
	struct ratio ratio = {.limits = limits, .what = "the archive"};

	for (;;) {
		const void *data;
		ssize_t n = inflate->stream.read(&inflate->stream, &data, fault);
		int r;

		if (n <= 0)
			return (int)n;
		if (ratio_add(&ratio, (uint64_t)n, file->offset, fault) < 0)
			return -1;
		r = fd_write_all(spool_fd, data, (size_t)n);
		if (r < 0)
			return fault_set_errno(fault, -r, "cannot unpack the archive");
	}
}

static int fill_spool(int fd, int spool_fd, const struct limits *limits, struct fault *fault)
{
	struct inflate inflate;
	struct file_stream file;
	int r;

	file_stream_init(&file, fd, 0);
	r = inflate_open(&inflate, &file.stream, fault);
	if (r >= 0)
		r = copy_to_spool(&inflate, &file, spool_fd, limits, fault);
	inflate_close(&inflate);
	file_stream_done(&file);
	return r;
}

/* ---- index ---- */

/*
 * Appends a path to a name, name by name: "." goes, ".." takes one away. False when it leads out or
 * is too long.
 */
static bool append_path(char name[IMAGE_MEMBER_NAME_MAX + 1], const char *path)
{
	size_t length = strlen(name);

	while (*path != '\0') {
		size_t bytes = strcspn(path, "/");

		if (bytes == 2 && memcmp(path, "..", 2) == 0) {
			char *slash = strrchr(name, '/');

			if (length == 0)
				return false;
			length = slash != NULL ? (size_t)(slash - name) : 0;
		} else if (bytes > 0 && !(bytes == 1 && *path == '.')) {
			if (length + 1 + bytes > IMAGE_MEMBER_NAME_MAX)
				return false;
			if (length > 0)
				name[length++] = '/';
			memcpy(name + length, path, bytes);
			length += bytes;
		}
		name[length] = '\0';
		path += bytes + (path[bytes] == '/');
	}
	return length > 0;
}

/* A symlink's target is relative to its directory, a hard link's to the archive. */
static char *link_target(const char *name, const char *symlink, const char *hardlink)
{
	char target[IMAGE_MEMBER_NAME_MAX + 1] = "";

	if (symlink != NULL && *symlink != '/') {
		const char *slash = strrchr(name, '/');

		if (slash != NULL)
			memcpy(target, name, (size_t)(slash - name));
	}
	if (!append_path(target, symlink != NULL ? symlink : hardlink))
		return NULL;
	return mem_strdup(target);
}

static struct tarball_member *add_member(struct tarball *tarball)
{
	if (tarball->member_count == tarball->member_room) {
		tarball->member_room = MAX(tarball->member_room * 2, (size_t)64);
		tarball->members = mem_realloc_array(tarball->members, tarball->member_room,
						     sizeof(tarball->members[0]));
	}
	tarball->members[tarball->member_count] = (struct tarball_member){0};
	return &tarball->members[tarball->member_count++];
}

static int index_entry(struct tarball *tarball, struct reader *reader, struct archive_entry *entry)
{
	const char *path = archive_entry_pathname(entry);
	const char *symlink = archive_entry_symlink(entry);
	const char *hardlink = archive_entry_hardlink(entry);
	char name[IMAGE_MEMBER_NAME_MAX + 1] = "";
	struct tarball_member *member;
	char *target = NULL;

	if (tarball->member_count >= IMAGE_MEMBERS_MAX)
		return fault_set(reader->fault, FAULT_TOO_MANY_ENTRIES,
				 "the archive has more than %d members", IMAGE_MEMBERS_MAX);
	/* What has no usable name, or leads out, is nothing that an image refers to. */
	if (path == NULL || !append_path(name, path))
		return 0;
	if (symlink != NULL || hardlink != NULL) {
		target = link_target(name, symlink, hardlink);
		if (target == NULL)
			return 0;
	} else if (archive_entry_filetype(entry) != AE_IFREG) {
		return 0;
	}
	member = add_member(tarball);
	member->name = mem_strdup(name);
	member->target = target;
	member->header_offset = (uint64_t)archive_read_header_position(reader->archive);
	member->bytes = (uint64_t)MAX(archive_entry_size(entry), 0);
	return 0;
}

static int index_members(struct tarball *tarball, struct reader *reader)
{
	for (;;) {
		struct archive_entry *entry;
		int r = archive_read_next_header(reader->archive, &entry);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return reader_fault(reader, "not a sound tar archive");
		if (index_entry(tarball, reader, entry) < 0)
			return -1;
	}
}

int tarball_open(struct tarball *tarball, int fd, int spool_fd, const struct limits *limits,
		 struct fault *fault)
{
	struct file_stream file;
	struct reader reader;
	int r;

	*tarball = (struct tarball){.fd = spool_fd >= 0 ? spool_fd : fd};
	if (spool_fd >= 0 && fill_spool(fd, spool_fd, limits, fault) < 0)
		return -1;
	file_stream_init(&file, tarball->fd, 0);
	r = reader_open_tar(&reader, &file.stream, fault);
	if (r >= 0)
		r = index_members(tarball, &reader);
	reader_close(&reader);
	file_stream_done(&file);
	return r;
}

void tarball_close(struct tarball *tarball)
{
	for (size_t i = 0; i < tarball->member_count; i++) {
		free(tarball->members[i].name);
		free(tarball->members[i].target);
	}
	free(tarball->members);
	*tarball = (struct tarball){.fd = -1};
}

static const struct tarball_member *find_exact(const struct tarball *tarball, const char *name)
{
	for (size_t i = tarball->member_count; i-- > 0;) {
		if (strcmp(tarball->members[i].name, name) == 0)
			return &tarball->members[i];
	}
	return NULL;
}

const struct tarball_member *tarball_find(const struct tarball *tarball, const char *name)
{
	char clean[IMAGE_MEMBER_NAME_MAX + 1] = "";
	const struct tarball_member *member;

	if (!append_path(clean, name))
		return NULL;
	member = find_exact(tarball, clean);
	for (int links = 0; member != NULL && member->target != NULL; links++) {
		if (links == LINKS_MAX)
			return NULL;
		member = find_exact(tarball, member->target);
	}
	return member;
}

/* ---- members ---- */

static ssize_t read_member(struct stream *stream, const void **ret_data, struct fault *fault)
{
	struct tarball_stream *member = (struct tarball_stream *)stream;
	la_int64_t offset;
	size_t bytes;
	int r;

	do {
		r = archive_read_data_block(member->reader.archive, ret_data, &bytes, &offset);
	} while (r == ARCHIVE_OK && bytes == 0);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK)
		return reader_fault(&member->reader, member->name);
	return (ssize_t)bytes;
}

int tarball_stream_open(struct tarball_stream *stream, const struct tarball *tarball,
			const struct tarball_member *member, struct fault *fault)
{
	struct archive_entry *entry;

	*stream = (struct tarball_stream){.stream = {.read = read_member}, .name = member->name};
	file_stream_init(&stream->file, tarball->fd, member->header_offset);
	if (reader_open_tar(&stream->reader, &stream->file.stream, fault) < 0)
		return -1;
	if (archive_read_next_header(stream->reader.archive, &entry) < ARCHIVE_WARN)
		return reader_fault(&stream->reader, member->name);
	return 0;
}

void tarball_stream_close(struct tarball_stream *stream)
{
	reader_close(&stream->reader);
	file_stream_done(&stream->file);
}

static int read_all(struct tarball_stream *stream, struct buf *buf, struct fault *fault)
{
	for (;;) {
		const void *data;
		ssize_t n = stream->stream.read(&stream->stream, &data, fault);

		if (n <= 0)
			return (int)n;
		if (buf_append(buf, data, (size_t)n) < 0)
			return fault_set(fault, FAULT_IMAGE_BROKEN, "%s is larger than %zu bytes",
					 stream->name, buf->bytes_max);
	}
}

int tarball_read(const struct tarball *tarball, const struct tarball_member *member,
		 struct buf *buf, struct fault *fault)
{
	struct tarball_stream stream;
	int r;

	r = tarball_stream_open(&stream, tarball, member, fault);
	if (r >= 0)
		r = read_all(&stream, buf, fault);
	tarball_stream_close(&stream);
	return r;
}
