/* SPDX-License-Identifier: Apache-2.0 */
/* JSON documents of an archive, read as their specifications say. For oci*.c. */
#ifndef IMAGE_OCI_JSON_H
#define IMAGE_OCI_JSON_H

#include <jansson.h>

#include "base/json.h"
#include "digest.h"
#include "tarball.h"

/* What points to a blob. The strings are the JSON's. */
struct oci_descriptor {
	const char *media_type; /* "" where it has none */
	const char *digest;
	uint64_t bytes;
	const char *architecture, *os, *variant; /* of `platform`; NULL where it has none */
	json_t *annotations;                     /* NULL for none */
};

/* Checks types and the digest's form. */
int oci_read_descriptor(json_t *value, struct oci_descriptor *ret_descriptor,
			struct fault *fault) _must_check_;

/* The text of an annotation, or NULL. */
const char *oci_annotation(const struct oci_descriptor *descriptor, const char *key);

/* blobs/sha256/...; a fault where the archive lacks it. */
int oci_find_blob(const struct tarball *tarball, const char *digest,
		  const struct tarball_member **ret_member, struct fault *fault) _must_check_;

/*
 * The JSON in a member. `wanted_digest`, which may be NULL, is verified before anything is parsed;
 * `ret_digest`, which may be NULL too, is that of the text.
 */
int oci_load_json(const struct tarball *tarball, const struct tarball_member *member,
		  const char *wanted_digest, json_t **ret_value, char ret_digest[DIGEST_TEXT_BYTES],
		  struct fault *fault) _must_check_;

/* The same for a blob, whose digest and size must be what the descriptor says. */
int oci_load_blob(const struct tarball *tarball, const struct oci_descriptor *descriptor,
		  json_t **ret_value, struct fault *fault) _must_check_;

/* A string member, or NULL when it is absent or null; a fault where it is anything else. */
int oci_string(json_t *object, const char *name, const char **ret_text,
	       struct fault *fault) _must_check_;

#endif
