/* SPDX-License-Identifier: Apache-2.0 */
/* Makes what krun-image reads: tar files entry by entry, and image archives of them. */
#ifndef TEST_IMAGE_MAKER_H
#define TEST_IMAGE_MAKER_H

#include <stdarg.h>
#include <stdint.h>

#include "base/buf.h"
#include "digest.h"
#include "fault.h"
#include "stream.h"

/* ---- tar ---- */

struct maker_entry {
	const char *path;
	char type; /* as in the header; 0 is '0', a file */
	const char *target;
	const void *data;
	size_t bytes;  /* of data; strlen where it is 0 */
	unsigned mode; /* 0: 0644, or 0755 for a directory */
	unsigned uid, gid;
	unsigned major, minor;
	const char *pax; /* records, each made with MAKER_PAX or maker_record() */
	size_t pax_bytes;
};

void maker_init(struct buf *tar);
void maker_add(struct buf *tar, struct maker_entry entry);
/* The two blocks of zeros at the end. */
void maker_end(struct buf *tar);
#define MAKER_ADD(tar, ...) maker_add(tar, (struct maker_entry){__VA_ARGS__})

/* Appends "LENGTH KEY=VALUE\n". */
void maker_record(struct buf *records, const char *key, const void *value, size_t bytes);

/* ---- compression ---- */

void maker_gzip(struct buf *to, const struct buf *from);
void maker_zstd(struct buf *to, const struct buf *from);

/* ---- streams ---- */

/* Bytes in memory, handed out in pieces of `step`. */
struct maker_stream {
	struct stream stream;
	const uint8_t *data;
	size_t bytes, step;
};

void maker_stream_init(struct maker_stream *stream, const struct buf *buf, size_t step);

/* ---- image archives ---- */

#define MAKER_LAYERS_MAX 4

struct maker_image {
	struct buf layers[MAKER_LAYERS_MAX]; /* as they go into the archive */
	struct buf plain[MAKER_LAYERS_MAX];  /* what diff_ids are of */
	unsigned count;
	const char *architecture, *os, *config; /* JSON of the `config` member */
	const char *name; /* a RepoTag, or org.opencontainers.image.ref.name */
	const char *layer_type, *config_type, *manifest_type;
};

/* One plain layer of one file for the architecture "amd64". */
void maker_image_init(struct maker_image *image);
void maker_image_done(struct maker_image *image);
/* Adds a layer (taken) that goes as it is. */
void maker_image_add(struct maker_image *image, struct buf *tar);

void maker_oci(struct buf *archive, const struct maker_image *image);
void maker_docker(struct buf *archive, const struct maker_image *image);

/* Adds a blob under its digest and writes "\"digest\": ..., \"size\": ..." for a descriptor. */
void maker_blob(struct buf *archive, const void *data, size_t bytes, char *ret_descriptor,
		size_t descriptor_bytes);
#define MAKER_DESCRIPTOR_BYTES 256

/* A nameless temporary file with these bytes, at its begin. */
int maker_file(const struct buf *buf);

#endif
