/* SPDX-License-Identifier: Apache-2.0 */
/* How oci.c and docker.c fill a struct oci_image. */
#ifndef IMAGE_OCI_IMAGE_H
#define IMAGE_OCI_IMAGE_H

#include "oci.h"

/* Makes room for the layers of the manifest. */
int oci_image_reserve_layers(struct oci_image *image, size_t count, const struct limits *limits,
			     struct fault *fault) _must_check_;

/* Adds a name in its familiar form, once. */
void oci_image_add_name(struct oci_image *image, const char *name);

/* Reads the config, which `image` has already: platform, date, digests of the layers. */
int oci_image_finish(struct oci_image *image, const char *architecture,
		     struct fault *fault) _must_check_;

#endif
