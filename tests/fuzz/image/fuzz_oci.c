/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON of an archive. An input is up to eight texts, each ended by a NUL; the first one is
 * index.json, or manifest.json where it begins with '['; the others are blobs, by digest and as
 * files 1, 2 and so on. "@3" in a text stands for digest and size of the third, which is behind it:
 * no input has to find a digest.
 */
#include "image/oci.c"
#include "image/oci_json.c"
#include "image/tarball.c"

#include <stdio.h>

#define TEXTS_MAX 8
#define TAR_BLOCK 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_file(struct buf *tar, const char *name, const struct buf *text)
{
	char block[TAR_BLOCK] = {0};
	size_t bytes = text->length;
	unsigned sum = 0;
	char *tail;

	memcpy(block, name, strlen(name));
	memcpy(block + 100, "0000644", 7);
	for (int i = 10; i >= 0; i--, bytes >>= 3)
		block[124 + i] = (char)('0' + (bytes & 7));
	memcpy(block + 257, "ustar\00000", 8);
	memset(block + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(block); i++)
		sum += (uint8_t)block[i];
	for (int i = 5; i >= 0; i--, sum >>= 3)
		block[148 + i] = (char)('0' + (sum & 7));
	if (buf_append(tar, block, sizeof(block)) < 0 ||
	    buf_append(tar, text->data, text->length) < 0)
		abort();
	bytes = (TAR_BLOCK - text->length % TAR_BLOCK) % TAR_BLOCK;
	if (buf_reserve(tar, bytes, &tail) < 0)
		abort();
	memset(tail, 0, bytes);
	buf_commit(tar, bytes);
}

/* Puts the descriptors of later texts in. */
static void expand(struct buf *to, const char *text, struct buf *texts, size_t count)
{
	for (; *text != '\0'; text++) {
		size_t wanted = text[0] == '@' ? (size_t)text[1] - '0' : TEXTS_MAX;
		char digest[DIGEST_TEXT_BYTES];

		if (wanted >= count || texts[wanted].data == NULL) {
			if (buf_append_char(to, *text) < 0)
				abort();
			continue;
		}
		digest_bytes(texts[wanted].data, texts[wanted].length, digest);
		if (buf_printf(to, "\"digest\":\"%s\",\"size\":%zu", digest, texts[wanted].length) <
		    0)
			abort();
		text++;
	}
}

static void add_texts(struct buf *tar, struct buf *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char digest[DIGEST_TEXT_BYTES], name[100];

		if (i == 0) {
			add_file(tar, texts[0].data[0] == '[' ? "manifest.json" : "index.json",
				 &texts[0]);
			continue;
		}
		digest_bytes(texts[i].data, texts[i].length, digest);
		snprintf(name, sizeof(name), "blobs/sha256/%s", digest + 7);
		add_file(tar, name, &texts[i]);
		snprintf(name, sizeof(name), "%zu", i);
		add_file(tar, name, &texts[i]);
	}
}

static void load(FILE *file)
{
	struct fault fault = {0};
	struct oci_image image = {0};
	struct tarball tarball;
	int r;

	r = tarball_open(&tarball, fileno(file), -1, &limits_default, &fault);
	if (r < 0)
		abort();
	r = oci_load(&image, &tarball, "amd64", &limits_default, &fault);
	if ((r < 0) != (fault.code != FAULT_NONE))
		abort();
	/* A good one has all that the import takes for granted. */
	for (unsigned i = 0; r >= 0 && i < image.layer_count; i++) {
		if (image.layers[i].member == NULL || strlen(image.layers[i].diff_id) != 71)
			abort();
	}
	oci_done(&image);
	tarball_close(&tarball);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *file;
	struct buf texts[TEXTS_MAX] = {0}, tar;
	char *copy = mem_zalloc(size + 2), *at = copy;
	char *begins[TEXTS_MAX];
	size_t count = 0;

	memcpy(copy, data, size);
	for (; count < TEXTS_MAX && at < copy + size && *at != '\0'; at += strlen(at) + 1)
		begins[count++] = at;
	for (size_t i = count; i-- > 0;) {
		buf_init(&texts[i], 16 * MIB);
		expand(&texts[i], begins[i], texts, count);
	}
	buf_init(&tar, 256 * MIB);
	if (count > 0)
		add_texts(&tar, texts, count);
	if (file == NULL)
		file = tmpfile();
	if (count > 0 && file != NULL && ftruncate(fileno(file), 0) == 0 &&
	    pwrite(fileno(file), tar.data, tar.length, 0) == (ssize_t)tar.length)
		load(file);
	for (size_t i = 0; i < count; i++)
		buf_done(&texts[i]);
	buf_done(&tar);
	free(copy);
	return 0;
}
