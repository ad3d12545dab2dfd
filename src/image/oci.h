/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an archive holds, by its own account: index, manifest and config as the OCI image
 * specification has them, or manifest.json as `docker save` writes it. Every JSON text is bounded
 * before it is parsed and its digest is verified where the format has one.
 */
#ifndef IMAGE_OCI_H
#define IMAGE_OCI_H

#include <jansson.h>
#include <stdint.h>

#include "digest.h"
#include "limits.h"
#include "tarball.h"

struct oci_layer {
	const struct tarball_member *member; /* the tarball's */
	char digest[DIGEST_TEXT_BYTES];      /* of the blob; "" where the format has none */
	char diff_id[DIGEST_TEXT_BYTES];     /* of the uncompressed tar */
};

struct oci_image {
	char digest[DIGEST_TEXT_BYTES]; /* of the config blob: the image's */
	char **names;                   /* base/strv.h; may be empty */
	json_t *config;                 /* the config blob, an object */
	const char *architecture, *os;  /* in `config` */
	int64_t created_s;              /* 0 where it does not say */
	struct oci_layer *layers;
	unsigned layer_count;
};

/*
 * Finds the one image for `architecture` ("amd64", "arm64") in the archive. The image refers to the
 * tarball, which must stay open. oci_done() is due in any case.
 */
int oci_load(struct oci_image *image, const struct tarball *tarball, const char *architecture,
	     const struct limits *limits, struct fault *fault) _must_check_;
void oci_done(struct oci_image *image);

/* This host's architecture in OCI's words; NULL where it has none that Linux machines run on. */
const char *oci_host_architecture(void);

#endif
