/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two layers onto a tree and into an ext4 file: the first two bytes say how long the first layer is.
 * Headers get their checksums here, so that inputs need not find them. The tree's invariants are
 * checked after each layer.
 */
#include "image/content.c"
#include "image/layer.c"
#include "image/tar.c"
#include "image/tree.c"

#include <stdio.h>

#include "image/ext4.h"
#include "wire/tar_header.h"

#define FILE_BYTES_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct limits fuzz_limits = {
	.entries_max = 2000,
	.metadata_bytes_max = 8 * MIB,
	.file_bytes_max = 64 * GIB,
	.image_bytes_max = FILE_BYTES_MAX,
};

struct memory {
	struct stream stream;
	const uint8_t *data;
	size_t bytes;
};

static ssize_t read_memory(struct stream *stream, const void **ret_data, struct fault *fault)
{
	struct memory *memory = (struct memory *)stream;
	size_t step = MIN(memory->bytes, (size_t)700);

	*ret_data = memory->data;
	memory->data += step;
	memory->bytes -= step;
	return (ssize_t)step;
}

static void mend_checksums(uint8_t *data, size_t bytes)
{
	for (; bytes >= WIRE_TAR_BLOCK_BYTES;
	     data += WIRE_TAR_BLOCK_BYTES, bytes -= WIRE_TAR_BLOCK_BYTES) {
		struct tar_header *header = (struct tar_header *)data;
		unsigned sum = 0;

		if (memcmp(header->magic, "ustar", 5) != 0)
			continue;
		memset(header->checksum, ' ', sizeof(header->checksum));
		for (size_t i = 0; i < WIRE_TAR_BLOCK_BYTES; i++)
			sum += data[i];
		for (int i = 5; i >= 0; i--, sum >>= 3)
			header->checksum[i] = (char)('0' + (sum & 7));
	}
}

/* Counts what is below a directory; every link must be findable and point back. */
static size_t check_directory(struct tree *tree, const struct inode *directory, unsigned depth)
{
	uint32_t subdirectories = 0;
	size_t count = 0;

	if (depth > IMAGE_DEPTH_MAX || directory->directory.depth != depth)
		abort();
	for (struct link *link = directory->directory.first; link != NULL; link = link->next) {
		count++;
		if (link->parent != directory || tree_find(tree, directory, link->name) != link ||
		    link->inode->links == 0 || link->name[0] == '\0' ||
		    strchr(link->name, '/') != NULL || strcmp(link->name, ".") == 0 ||
		    strcmp(link->name, "..") == 0)
			abort();
		if (link->inode->type != INODE_TYPE_DIRECTORY)
			continue;
		subdirectories++;
		if (link->inode->directory.self != link)
			abort();
		count += check_directory(tree, link->inode, depth + 1);
	}
	if (subdirectories != directory->directory.subdirectories)
		abort();
	return count;
}

static int apply(struct layer *layer, const uint8_t *data, size_t size)
{
	struct memory memory = {.stream = {.read = read_memory}, .bytes = size};
	uint8_t *copy = mem_dup(data, size);
	struct fault fault = {0};
	int r;

	mend_checksums(copy, size);
	memory.data = copy;
	layer->index++;
	r = layer_apply(layer, &memory.stream, &fault);
	free(copy);
	if ((r < 0) != (fault.code != FAULT_NONE) ||
	    check_directory(layer->tree, layer->tree->root, 0) != layer->tree->link_count)
		abort();
	return r;
}

static void write_image(FILE *file, struct tree *tree, struct content *content)
{
	const struct ext4_identity identity = {.time_s = 1};
	struct ext4_size size;
	struct fault fault = {0};

	/* What the tree holds, the file system can hold, but for attributes. */
	if (content_finish(content, &fault) < 0 ||
	    (ext4_write_tree(fileno(file), tree, content->next_block, &identity, &size, &fault) <
		     0 &&
	     fault.code != FAULT_XATTR_TOO_LARGE)) {
		fprintf(stderr, "%s\n", fault.text);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *file;
	struct content content;
	struct layer layer = {.content = &content, .limits = &fuzz_limits};
	struct tree tree;
	size_t first;

	if (size < 2)
		return 0;
	if (file == NULL)
		file = tmpfile();
	if (file == NULL || ftruncate(fileno(file), 0) < 0)
		return 0;
	first = MIN((size_t)(data[0] | data[1] << 8), size - 2);
	tree_init(&tree, &fuzz_limits);
	content_init(&content, fileno(file), fuzz_limits.image_bytes_max);
	tree.release = content_release;
	tree.release_context = &content;
	layer.tree = &tree;
	if (apply(&layer, data + 2, first) >= 0 &&
	    apply(&layer, data + 2 + first, size - 2 - first) >= 0)
		write_image(file, &tree, &content);
	content_done(&content);
	tree_done(&tree);
	return 0;
}
