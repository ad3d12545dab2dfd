/* SPDX-License-Identifier: Apache-2.0 */
#include "maker.h"

#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "limits.h"

#define BLOCK 512

static void append(struct buf *buf, const void *data, size_t bytes)
{
	assert_int_equal(buf_append(buf, data, bytes), 0);
}

/* ---- tar ---- */

void maker_init(struct buf *tar)
{
	buf_init(tar, 256 * MIB);
}

static void pad(struct buf *tar)
{
	static const char zeros[BLOCK];

	append(tar, zeros, (BLOCK - tar->length % BLOCK) % BLOCK);
}

/* Digits from the right; the field's last byte stays a NUL. */
static void put_octal(char *field, size_t digits, uint64_t value)
{
	while (digits-- > 0) {
		field[digits] = (char)('0' + (value & 7));
		value >>= 3;
	}
}

static void add_header(struct buf *tar, const struct maker_entry *entry, char type, size_t bytes)
{
	char block[BLOCK] = {0};
	unsigned sum = 0, mode = entry->mode;

	if (mode == 0)
		mode = type == '5' ? 0755 : 0644;
	memcpy(block, entry->path, MIN(strlen(entry->path), (size_t)100));
	put_octal(block + 100, 7, mode);
	put_octal(block + 108, 7, entry->uid);
	put_octal(block + 116, 7, entry->gid);
	put_octal(block + 124, 11, bytes);
	put_octal(block + 136, 11, 1700000000U);
	memset(block + 148, ' ', 8);
	block[156] = type;
	if (entry->target != NULL)
		memcpy(block + 157, entry->target, MIN(strlen(entry->target), (size_t)100));
	memcpy(block + 257, "ustar\00000", 8);
	put_octal(block + 329, 7, entry->major);
	put_octal(block + 337, 7, entry->minor);
	for (size_t i = 0; i < sizeof(block); i++)
		sum += (uint8_t)block[i];
	put_octal(block + 148, 6, sum);
	block[154] = '\0';
	append(tar, block, sizeof(block));
}

void maker_add(struct buf *tar, struct maker_entry entry)
{
	char type = entry.type != 0 ? entry.type : '0';

	if (entry.bytes == 0 && entry.data != NULL)
		entry.bytes = strlen(entry.data);
	if (entry.pax != NULL) {
		add_header(tar, &(struct maker_entry){.path = "pax"}, 'x', entry.pax_bytes);
		append(tar, entry.pax, entry.pax_bytes);
		pad(tar);
	}
	add_header(tar, &entry, type, entry.bytes);
	append(tar, entry.data, entry.bytes);
	pad(tar);
}

void maker_end(struct buf *tar)
{
	static const char zeros[2 * BLOCK];

	append(tar, zeros, sizeof(zeros));
}

void maker_record(struct buf *records, const char *key, const void *value, size_t bytes)
{
	size_t length = strlen(key) + bytes + 3, digits = 1;
	char head[32];

	for (size_t n = length + digits; n >= 10; n /= 10)
		digits++;
	if (records->bytes_max == 0)
		buf_init(records, 2 * MIB);
	/* One more digit may make the length one digit longer. */
	digits = (size_t)snprintf(head, sizeof(head), "%zu", length + digits);
	snprintf(head, sizeof(head), "%zu ", length + digits);
	append(records, head, strlen(head));
	append(records, key, strlen(key));
	append(records, "=", 1);
	append(records, value, bytes);
	append(records, "\n", 1);
}

/* ---- compression ---- */

static la_ssize_t on_write(struct archive *archive, void *context, const void *data, size_t bytes)
{
	append(context, data, bytes);
	return (la_ssize_t)bytes;
}

static void compress_with(struct buf *to, const struct buf *from, int filter)
{
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	maker_init(to);
	assert_int_equal(archive_write_set_format_raw(archive), ARCHIVE_OK);
	assert_int_equal(archive_write_add_filter(archive, filter), ARCHIVE_OK);
	archive_write_set_bytes_in_last_block(archive, 1);
	assert_int_equal(archive_write_open2(archive, to, NULL, on_write, NULL, NULL), ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_pathname(entry, "data");
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(archive, from->data, from->length), from->length);
	assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
	archive_entry_free(entry);
	archive_write_free(archive);
}

void maker_gzip(struct buf *to, const struct buf *from)
{
	compress_with(to, from, ARCHIVE_FILTER_GZIP);
}

void maker_zstd(struct buf *to, const struct buf *from)
{
	compress_with(to, from, ARCHIVE_FILTER_ZSTD);
}

/* ---- streams ---- */

static ssize_t read_memory(struct stream *stream, const void **ret_data, struct fault *fault)
{
	struct maker_stream *memory = (struct maker_stream *)stream;
	size_t step = MIN(memory->step, memory->bytes);

	*ret_data = memory->data;
	memory->data += step;
	memory->bytes -= step;
	return (ssize_t)step;
}

void maker_stream_init(struct maker_stream *stream, const struct buf *buf, size_t step)
{
	*stream = (struct maker_stream){
		.stream = {.read = read_memory},
		.data = (const uint8_t *)buf->data,
		.bytes = buf->length,
		.step = step,
	};
}

/* ---- image archives ---- */

void maker_image_init(struct maker_image *image)
{
	*image = (struct maker_image){
		.architecture = "amd64",
		.os = "linux",
		.config = "{\"Cmd\":[\"/bin/sh\"]}",
		.name = "web:latest",
		.layer_type = "application/vnd.oci.image.layer.v1.tar",
		.config_type = "application/vnd.oci.image.config.v1+json",
		.manifest_type = "application/vnd.oci.image.manifest.v1+json",
	};
}

void maker_image_done(struct maker_image *image)
{
	for (unsigned i = 0; i < image->count; i++) {
		buf_done(&image->layers[i]);
		buf_done(&image->plain[i]);
	}
}

void maker_image_add(struct maker_image *image, struct buf *tar)
{
	assert_true(image->count < MAKER_LAYERS_MAX);
	maker_init(&image->plain[image->count]);
	append(&image->plain[image->count], tar->data, tar->length);
	image->layers[image->count++] = *tar;
	*tar = (struct buf){0};
}

void maker_blob(struct buf *archive, const void *data, size_t bytes, char *ret_descriptor,
		size_t descriptor_bytes)
{
	char digest[DIGEST_TEXT_BYTES], path[100];

	digest_bytes(data, bytes, digest);
	snprintf(path, sizeof(path), "blobs/sha256/%s", digest + 7);
	MAKER_ADD(archive, .path = path, .data = data, .bytes = bytes);
	snprintf(ret_descriptor, descriptor_bytes, "\"digest\":\"%s\",\"size\":%zu", digest, bytes);
}

static void make_config(struct buf *config, const struct maker_image *image)
{
	buf_init(config, MIB);
	assert_int_equal(buf_printf(config,
				    "{\"architecture\":\"%s\",\"os\":\"%s\",\"config\":%s,"
				    "\"created\":\"2024-01-01T00:00:00Z\","
				    "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[",
				    image->architecture, image->os, image->config),
			 0);
	for (unsigned i = 0; i < image->count; i++) {
		char digest[DIGEST_TEXT_BYTES];

		digest_bytes(image->plain[i].data, image->plain[i].length, digest);
		assert_int_equal(buf_printf(config, "%s\"%s\"", i > 0 ? "," : "", digest), 0);
	}
	assert_int_equal(buf_append_string(config, "]}}"), 0);
}

void maker_oci(struct buf *archive, const struct maker_image *image)
{
	_cleanup_buf_ struct buf config = {0}, manifest = {0}, index = {0};
	char descriptor[MAKER_DESCRIPTOR_BYTES];

	maker_init(archive);
	buf_init(&manifest, MIB);
	buf_init(&index, MIB);
	make_config(&config, image);
	maker_blob(archive, config.data, config.length, descriptor, sizeof(descriptor));
	assert_int_equal(
		buf_printf(&manifest,
			   "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"%s\",%s},\"layers\":[",
			   image->config_type, descriptor),
		0);
	for (unsigned i = 0; i < image->count; i++) {
		maker_blob(archive, image->layers[i].data, image->layers[i].length, descriptor,
			   sizeof(descriptor));
		assert_int_equal(buf_printf(&manifest, "%s{\"mediaType\":\"%s\",%s}",
					    i > 0 ? "," : "", image->layer_type, descriptor),
				 0);
	}
	assert_int_equal(buf_append_string(&manifest, "]}"), 0);
	maker_blob(archive, manifest.data, manifest.length, descriptor, sizeof(descriptor));
	assert_int_equal(
		buf_printf(&index,
			   "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",%s,"
			   "\"annotations\":{\"org.opencontainers.image.ref.name\":\"%s\"}}]}",
			   image->manifest_type, descriptor, image->name),
		0);
	MAKER_ADD(archive, .path = "index.json", .data = index.data, .bytes = index.length);
	maker_end(archive);
}

void maker_docker(struct buf *archive, const struct maker_image *image)
{
	_cleanup_buf_ struct buf config = {0}, manifest = {0};
	char digest[DIGEST_TEXT_BYTES], path[100];

	maker_init(archive);
	buf_init(&manifest, MIB);
	make_config(&config, image);
	digest_bytes(config.data, config.length, digest);
	snprintf(path, sizeof(path), "%s.json", digest + 7);
	MAKER_ADD(archive, .path = path, .data = config.data, .bytes = config.length);
	assert_int_equal(buf_printf(&manifest,
				    "[{\"Config\":\"%s\",\"RepoTags\":[\"%s\"],\"Layers\":[", path,
				    image->name),
			 0);
	for (unsigned i = 0; i < image->count; i++) {
		snprintf(path, sizeof(path), "l%u/layer.tar", i);
		MAKER_ADD(archive, .path = path, .data = image->layers[i].data,
			  .bytes = image->layers[i].length);
		/* As docker does for a layer that it has written before. */
		assert_int_equal(buf_printf(&manifest, "%s\"m%u/layer.tar\"", i > 0 ? "," : "", i),
				 0);
		snprintf(path, sizeof(path), "m%u/layer.tar", i);
		snprintf(digest, sizeof(digest), "../l%u/layer.tar", i);
		MAKER_ADD(archive, .path = path, .type = '2', .target = digest);
	}
	assert_int_equal(buf_append_string(&manifest, "]}]"), 0);
	MAKER_ADD(archive, .path = "manifest.json", .data = manifest.data,
		  .bytes = manifest.length);
	maker_end(archive);
}

int maker_file(const struct buf *buf)
{
	const char *directory = getenv("TMPDIR");
	_cleanup_free_ char *path =
		mem_printf("%s/krun-image-XXXXXX", directory != NULL ? directory : "/tmp");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	if (buf != NULL)
		assert_int_equal(fd_write_all(fd, buf->data, buf->length), 0);
	lseek(fd, 0, SEEK_SET);
	return fd;
}
