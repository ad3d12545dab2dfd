/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 as OCI writes it: "sha256:" and 64 lower-case hexadecimal digits. */
#ifndef IMAGE_DIGEST_H
#define IMAGE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"

#define DIGEST_BYTES      32
#define DIGEST_HEX_BYTES  (2 * DIGEST_BYTES)
#define DIGEST_TEXT_BYTES (7 + DIGEST_HEX_BYTES + 1) /* with its NUL */
#define DIGEST_UUID_BYTES 16

struct digest; /* of bytes that still come */

/* Loads the algorithm; call it before files can no longer be opened. */
void digest_prepare(void);

struct digest *digest_new(void) _must_check_;
void digest_free(struct digest *digest);
void digest_update(struct digest *digest, const void *data, size_t bytes);
/* Ends the digest; it can only be freed after this. */
void digest_text(struct digest *digest, char ret_text[DIGEST_TEXT_BYTES]);

/* Of bytes in memory. */
void digest_bytes(const void *data, size_t bytes, char ret_text[DIGEST_TEXT_BYTES]);

/* Is this a well-formed digest by SHA-256? Says what is wrong otherwise. */
int digest_check(const char *text, struct fault *fault) _must_check_;
bool digest_is_hex(const char *text, size_t bytes);

/* A UUID (version 8: of its maker's own making) that depends on the bytes alone. */
void digest_uuid(const void *data, size_t bytes, uint8_t ret_uuid[DIGEST_UUID_BYTES]);

static inline void cleanup_digest(struct digest **digest)
{
	digest_free(*digest);
}
#define _cleanup_digest_ _cleanup_(cleanup_digest)

#endif
