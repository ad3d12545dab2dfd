/* SPDX-License-Identifier: Apache-2.0 */
#include "logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"

#define FILES_MAX 100

static void file_path(const struct logs_reader *reader, int index, char *path, size_t size)
{
	if (index == 0)
		snprintf(path, size, "%s/" LOG_FILE, reader->directory);
	else
		snprintf(path, size, "%s/" LOG_FILE ".%d", reader->directory, index);
}

static bool file_exists(const struct logs_reader *reader, int index, struct stat *st)
{
	char path[4096];

	file_path(reader, index, path, sizeof(path));
	return stat(path, st) == 0 && S_ISREG(st->st_mode);
}

/* -1 when there is none. machine.log alone is missing for a moment while it is rotated. */
static int oldest_index(const struct logs_reader *reader)
{
	struct stat st;
	int oldest = -1;

	for (int i = 0; i < FILES_MAX; i++) {
		if (file_exists(reader, i, &st))
			oldest = i;
		else if (i > 0)
			break;
	}
	return oldest;
}

/* Which file ours is now; -1 when it was rotated away. */
static int own_index(const struct logs_reader *reader)
{
	struct stat st;

	for (int i = 0; i < FILES_MAX; i++) {
		if (!file_exists(reader, i, &st)) {
			if (i > 0)
				break;
		} else if (st.st_ino == reader->inode) {
			return i;
		}
	}
	return -1;
}

static int open_index(struct logs_reader *reader, int index)
{
	_cleanup_fd_ int fd = -1;
	char path[4096];
	struct stat st;

	file_path(reader, index, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	fd_close(reader->fd);
	reader->fd = take_fd(fd);
	reader->inode = st.st_ino;
	reader->offset = 0;
	reader->resync = false;
	return 0;
}

void logs_open(struct logs_reader *reader, const char *directory, const struct logs_filter *filter,
	       long long tail)
{
	*reader = (struct logs_reader){
		.directory = mem_strdup(directory),
		.filter = *filter,
		.fd = -1,
		.tail = tail,
		.seeking = tail != LOGS_TAIL_WHOLE,
	};
}

void logs_close(struct logs_reader *reader)
{
	reader->fd = fd_close(reader->fd);
	free(reader->directory);
	reader->directory = NULL;
}

static bool matches(const struct logs_filter *filter, const struct log_record *record)
{
	return (filter->streams & 1U << record->stream) != 0 &&
	       (filter->since_ns == 0 || record->realtime_ns >= filter->since_ns);
}

/* ---- backwards, for the tail ---- */

/* Behind the last newline of the text, 0 without one: where its last, unended line begins. */
static size_t behind_newline(const char *data, size_t length)
{
	while (length > 0 && data[length - 1] != '\n')
		length--;
	return length;
}

/* A part of a line is not one, except for the last of its stream, whose rest never came. */
static bool ends_line(struct logs_reader *reader, const struct log_record *record)
{
	unsigned bit = 1U << record->stream;
	bool is_last = (reader->seen_streams & bit) == 0;

	reader->seen_streams |= bit;
	return !record->partial || is_last;
}

/*
 * Looks at the lines of a block from its end to its beginning. True when the tail's first line was
 * found: it begins at `ret_at`. Else `ret_at` is where the block's first line begins.
 */
static bool scan_back(struct logs_reader *reader, const char *data, size_t first, size_t end,
		      size_t *ret_at)
{
	while (end > first) {
		size_t start = behind_newline(data, end - 1);
		struct log_record record;

		start = start < first ? first : start;
		if (log_record_parse(data + start, end - start - 1, &record) >= 0 &&
		    ends_line(reader, &record) && matches(&reader->filter, &record) &&
		    ++reader->matched > reader->tail) {
			*ret_at = end;
			return true;
		}
		end = start;
	}
	*ret_at = first;
	return false;
}

static int seek_block(struct logs_reader *reader, char *buffer)
{
	off_t begin = reader->offset > LOGS_SLICE_BYTES ? reader->offset - LOGS_SLICE_BYTES : 0;
	ssize_t length = pread(reader->fd, buffer, (size_t)(reader->offset - begin), begin);
	char *newline;
	size_t first = 0, end, at;

	if (length < 0)
		return -errno;
	end = behind_newline(buffer, (size_t)length);
	if (begin > 0) {
		newline = memchr(buffer, '\n', (size_t)length);
		/* No line has 64 KiB: what this is, it is none of ours. */
		first = newline == NULL ? 0 : (size_t)(newline - buffer) + 1;
	}
	if (scan_back(reader, buffer, first, end, &at)) {
		reader->offset = begin + (off_t)at;
		reader->seeking = false;
		return 0;
	}
	/* The part of a line at the block's beginning ends the next block. */
	reader->offset = begin + (off_t)(first < (size_t)length || begin == 0 ? first : 0);
	return 0;
}

/* Goes to the end of the newest file, or of the next older one. */
static int seek_file(struct logs_reader *reader)
{
	int index = reader->fd < 0 ? -1 : own_index(reader);
	off_t end;
	int r;

	if (reader->fd >= 0 && index < 0) {
		reader->seeking = false; /* rotated away: this is the oldest there is */
		return 0;
	}
	r = open_index(reader, index + 1);
	if (r == -ENOENT && index < 0)
		r = open_index(reader, 1);
	if (r == -ENOENT) {
		reader->seeking = false;
		return 0;
	}
	if (r < 0)
		return r;
	end = lseek(reader->fd, 0, SEEK_END);
	if (end < 0)
		return -errno;
	reader->offset = end;
	return 0;
}

static int seek_step(struct logs_reader *reader, char *buffer)
{
	int r;

	if (reader->fd >= 0 && reader->offset > 0)
		r = seek_block(reader, buffer);
	else
		r = seek_file(reader);
	return r < 0 ? r : LOGS_MORE;
}

/* ---- forwards ---- */

/* Gives the whole lines; returns the bytes they have, or -ECANCELED past `until`. */
static ssize_t give_lines(struct logs_reader *reader, const char *data, size_t length,
			  void (*each)(void *user, const struct log_record *record), void *user)
{
	size_t used = 0;
	const char *newline;

	while ((newline = memchr(data + used, '\n', length - used)) != NULL) {
		size_t line_length = (size_t)(newline - data) - used;
		struct log_record record;
		bool whole = !reader->resync;

		reader->resync = false;
		if (whole && log_record_parse(data + used, line_length, &record) >= 0) {
			if (reader->filter.until_ns != 0 &&
			    record.realtime_ns > reader->filter.until_ns)
				return -ECANCELED;
			if (matches(&reader->filter, &record))
				each(user, &record);
		}
		used += line_length + 1;
	}
	if (used == 0 && length == LOGS_SLICE_BYTES) {
		reader->resync = true;
		return (ssize_t)length;
	}
	return (ssize_t)used;
}

/* The file after ours, now that ours is read to its end. */
static int next_file(struct logs_reader *reader, int index)
{
	int next = index > 0 ? index - 1 : oldest_index(reader);

	return open_index(reader, next < 0 ? 0 : next);
}

int logs_step(struct logs_reader *reader, char *buffer,
	      void (*each)(void *user, const struct log_record *record), void *user)
{
	ssize_t length, used;
	int index, r;

	if (reader->seeking)
		return seek_step(reader, buffer);
	if (reader->fd < 0) {
		index = oldest_index(reader);
		if (index < 0)
			return LOGS_END;
		r = open_index(reader, index);
		if (r == -ENOENT)
			return LOGS_MORE; /* rotated just now */
		if (r < 0)
			return r;
	}
	/* Asked before reading: a renamed file gets no more lines. */
	index = own_index(reader);
	length = pread(reader->fd, buffer, LOGS_SLICE_BYTES, reader->offset);
	if (length < 0)
		return -errno;
	used = give_lines(reader, buffer, (size_t)length, each, user);
	if (used == -ECANCELED)
		return LOGS_PAST;
	reader->offset += used;
	if (used > 0)
		return LOGS_MORE;
	if (index == 0)
		return LOGS_END;
	r = next_file(reader, index);
	if (r == -ENOENT)
		return LOGS_END; /* between two renames: the next call finds it */
	return r < 0 ? r : LOGS_MORE;
}
