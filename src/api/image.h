/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: one read-only ext4 file each, named by the digest of the image's config, and a row in the
 * database. Knows no HTTP.
 */
#ifndef API_IMAGE_H
#define API_IMAGE_H

#include <stdbool.h>

#include "base/err.h"
#include "bounds.h"

struct server;

#define IMAGE_DIGEST_BYTES 72 /* "sha256:", 64 digits and a NUL */

/* Where its file lies, on the heap. */
char *image_path(const struct server *server, const char *digest) _must_check_;

bool image_digest_is_valid(const char *digest);

/*
 * "web" becomes "web:latest"; registry and path stay. -EINVAL for what is no image's name. A digest
 * is none.
 */
int image_name_normalise(const char *text, char ret_name[IMAGE_NAME_BYTES_MAX + 1],
			 struct err *err) _must_check_;

/*
 * By digest ("sha256:" and 64 digits, or at least 8 digits of a unique one), or by name; a name
 * without a registry is also looked for below the two registries that builders put in front of
 * local names. -ENOENT, -EMLINK, -EINVAL.
 */
int image_resolve(struct server *server, const char *text, char ret_digest[IMAGE_DIGEST_BYTES],
		  struct err *err) _must_check_;

/*
 * Takes the name away; with its last name, or when it was named by digest, the image goes. -EBUSY
 * while a machine uses it; -ENOENT.
 */
int image_delete(struct server *server, const char *text, struct err *err) _must_check_;

/* Removes files that no row knows. */
void images_clean(struct server *server);

#endif
