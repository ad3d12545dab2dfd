/* SPDX-License-Identifier: Apache-2.0 */
/* What `docker save` writes: manifest.json, an array with config, names and layers of each image. */
#ifndef IMAGE_DOCKER_H
#define IMAGE_DOCKER_H

#include "oci.h"

/* Fills names, config and layers. The layers have no digests but those in the config. */
int docker_load(struct oci_image *image, const struct tarball *tarball,
		const struct tarball_member *manifest, const struct limits *limits,
		struct fault *fault) _must_check_;

#endif
