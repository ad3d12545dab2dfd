/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer, a tar file, applied to the tree: entries in order, whiteouts, replacement of files by
 * directories and the reverse, as the OCI image specification says ("Image Layer Filesystem
 * Changeset"). Contents go to `content` as they come.
 *
 * Parents are looked up inside the image, symlinks followed; a parent that is missing is made. A
 * leading "/" is ignored; ".." anywhere in a path is refused.
 */
#ifndef IMAGE_LAYER_H
#define IMAGE_LAYER_H

#include "content.h"
#include "stream.h"
#include "tree.h"

struct layer {
	struct tree *tree;
	struct content *content;
	const struct limits *limits;
	uint16_t index;   /* of this layer, rising from 1 */
	uint64_t entries; /* of this layer and those before it */
};

/* Reads to the end of the tar file, which may be before the end of the stream. */
int layer_apply(struct layer *layer, struct stream *from, struct fault *fault) _must_check_;

#endif
