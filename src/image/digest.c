/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"

#define PREFIX "sha256:"

/* The library's object under the name of ours. */
static EVP_MD_CTX *context_of(struct digest *digest)
{
	return (EVP_MD_CTX *)digest;
}

/* SHA-256 in memory cannot fail but for want of memory, and then we abort as mem.h does. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

struct digest *digest_new(void)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	must(context != NULL);
	must(EVP_DigestInit_ex(context, EVP_sha256(), NULL));
	return (struct digest *)context;
}

void digest_free(struct digest *digest)
{
	EVP_MD_CTX_free(context_of(digest));
}

void digest_update(struct digest *digest, const void *data, size_t bytes)
{
	must(EVP_DigestUpdate(context_of(digest), data, bytes));
}

void digest_text(struct digest *digest, char ret_text[DIGEST_TEXT_BYTES])
{
	uint8_t raw[DIGEST_BYTES];

	must(EVP_DigestFinal_ex(context_of(digest), raw, NULL));
	memcpy(ret_text, PREFIX, strlen(PREFIX));
	hex_format(raw, sizeof(raw), ret_text + strlen(PREFIX));
}

void digest_bytes(const void *data, size_t bytes, char ret_text[DIGEST_TEXT_BYTES])
{
	_cleanup_digest_ struct digest *digest = digest_new();

	digest_update(digest, data, bytes);
	digest_text(digest, ret_text);
}

void digest_prepare(void)
{
	char text[DIGEST_TEXT_BYTES];

	digest_bytes("", 0, text);
}

bool digest_is_hex(const char *text, size_t bytes)
{
	return bytes == DIGEST_HEX_BYTES && strspn(text, "0123456789abcdef") >= DIGEST_HEX_BYTES;
}

int digest_check(const char *text, struct fault *fault)
{
	size_t prefix = strlen(PREFIX);

	if (strncmp(text, "sha512:", 7) == 0)
		return fault_set(fault, FAULT_DIGEST_UNSUPPORTED,
				 "the image uses SHA-512 digests; only SHA-256 is supported");
	if (strncmp(text, PREFIX, prefix) != 0 ||
	    !digest_is_hex(text + prefix, strlen(text + prefix)))
		return fault_set(fault, FAULT_IMAGE_BROKEN, "'%.100s' is not a SHA-256 digest",
				 text);
	return 0;
}

void digest_uuid(const void *data, size_t bytes, uint8_t ret_uuid[DIGEST_UUID_BYTES])
{
	uint8_t raw[DIGEST_BYTES];

	must(EVP_Digest(data, bytes, raw, NULL, EVP_sha256(), NULL));
	memcpy(ret_uuid, raw, DIGEST_UUID_BYTES);
	ret_uuid[6] = (ret_uuid[6] & 0x0f) | 0x80;
	ret_uuid[8] = (ret_uuid[8] & 0x3f) | 0x80;
}
