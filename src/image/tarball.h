/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The archive that an image comes in: a tar file of blobs. It is indexed once; after that any
 * member is read from its place, however often. A compressed archive is decompressed once into a
 * spool, a nameless file beside the output.
 */
#ifndef IMAGE_TARBALL_H
#define IMAGE_TARBALL_H

#include <stdint.h>

#include "base/buf.h"
#include "limits.h"
#include "stream.h"

struct tarball_member {
	char *name;   /* without "./" or "/" in front */
	char *target; /* of a link, as a member's name; NULL for a file */
	uint64_t header_offset;
	uint64_t bytes;
};

struct tarball {
	int fd; /* not owned */
	struct tarball_member *members;
	size_t member_count, member_room;
};

/*
 * Is the archive compressed, so that tarball_open() needs a spool? -1 with a fault where it is
 * compressed in a way nobody here knows, or no regular file.
 */
int tarball_needs_spool(int fd, struct fault *fault) _must_check_;

/* The descriptors stay the caller's and stay open. `spool_fd` is -1 where none is needed. */
int tarball_open(struct tarball *tarball, int fd, int spool_fd, const struct limits *limits,
		 struct fault *fault) _must_check_;
void tarball_close(struct tarball *tarball);

/* The file of that name, links followed; NULL when there is none. The last of equals wins. */
const struct tarball_member *tarball_find(const struct tarball *tarball, const char *name);

/* Reads one member from its begin. */
struct tarball_stream {
	struct stream stream;
	struct file_stream file;
	struct reader reader;
	const char *name;
};

int tarball_stream_open(struct tarball_stream *stream, const struct tarball *tarball,
			const struct tarball_member *member, struct fault *fault) _must_check_;
void tarball_stream_close(struct tarball_stream *stream);

/* All of a member. Past the buffer's maximum it is a broken image. */
int tarball_read(const struct tarball *tarball, const struct tarball_member *member,
		 struct buf *buf, struct fault *fault) _must_check_;

#endif
