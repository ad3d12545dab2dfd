/* SPDX-License-Identifier: Apache-2.0 */
#include "oci_json.h"

#include <string.h>

#define BLOB_NAME_BYTES 96

int oci_string(json_t *object, const char *name, const char **ret_text, struct fault *fault)
{
	json_t *value = json_object_get(object, name);

	if (value != NULL && !json_is_null(value) && !json_is_string(value))
		return fault_set(fault, FAULT_IMAGE_BROKEN, "'%s' is not a string", name);
	*ret_text = json_string_value(value);
	return 0;
}

static int read_platform(json_t *value, struct oci_descriptor *descriptor, struct fault *fault)
{
	json_t *platform = json_object_get(value, "platform");

	if (platform == NULL || json_is_null(platform))
		return 0;
	if (!json_is_object(platform))
		return fault_set(fault, FAULT_IMAGE_BROKEN, "'platform' is not an object");
	if (oci_string(platform, "architecture", &descriptor->architecture, fault) < 0 ||
	    oci_string(platform, "os", &descriptor->os, fault) < 0)
		return -1;
	return oci_string(platform, "variant", &descriptor->variant, fault);
}

int oci_read_descriptor(json_t *value, struct oci_descriptor *ret_descriptor, struct fault *fault)
{
	struct oci_descriptor descriptor = {0};
	json_t *size = json_object_get(value, "size");
	json_t *annotations = json_object_get(value, "annotations");

	if (!json_is_object(value) || !json_is_integer(size) || json_integer_value(size) < 0 ||
	    (annotations != NULL && !json_is_null(annotations) && !json_is_object(annotations)))
		return fault_set(fault, FAULT_IMAGE_BROKEN, "a descriptor is not as specified");
	if (oci_string(value, "mediaType", &descriptor.media_type, fault) < 0 ||
	    oci_string(value, "digest", &descriptor.digest, fault) < 0 ||
	    read_platform(value, &descriptor, fault) < 0)
		return -1;
	if (descriptor.media_type == NULL)
		descriptor.media_type = "";
	if (descriptor.digest == NULL)
		return fault_set(fault, FAULT_IMAGE_BROKEN, "a descriptor has no digest");
	if (digest_check(descriptor.digest, fault) < 0)
		return -1;
	descriptor.bytes = (uint64_t)json_integer_value(size);
	descriptor.annotations = json_is_object(annotations) ? annotations : NULL;
	*ret_descriptor = descriptor;
	return 0;
}

const char *oci_annotation(const struct oci_descriptor *descriptor, const char *key)
{
	return json_string_value(json_object_get(descriptor->annotations, key));
}

int oci_find_blob(const struct tarball *tarball, const char *digest,
		  const struct tarball_member **ret_member, struct fault *fault)
{
	char name[BLOB_NAME_BYTES];
	const struct tarball_member *member;

	snprintf(name, sizeof(name), "blobs/sha256/%s", digest + strlen("sha256:"));
	member = tarball_find(tarball, name);
	if (member == NULL)
		return fault_set(fault, FAULT_BLOB_MISSING, "the archive lacks the blob %s",
				 digest);
	*ret_member = member;
	return 0;
}

int oci_load_json(const struct tarball *tarball, const struct tarball_member *member,
		  const char *wanted_digest, json_t **ret_value, char ret_digest[DIGEST_TEXT_BYTES],
		  struct fault *fault)
{
	char digest[DIGEST_TEXT_BYTES];
	_cleanup_buf_ struct buf buf;
	struct err err = {0};

	buf_init(&buf, IMAGE_JSON_BYTES_MAX);
	if (tarball_read(tarball, member, &buf, fault) < 0)
		return -1;
	digest_bytes(buf.data, buf.length, digest);
	if (wanted_digest != NULL && strcmp(digest, wanted_digest) != 0)
		return fault_set(fault, FAULT_DIGEST_MISMATCH,
				 "the blob %s is damaged: its digest is %s", wanted_digest, digest);
	if (json_parse(buf.data != NULL ? buf.data : "", buf.length, ret_value, &err) < 0)
		return fault_set(fault, FAULT_IMAGE_BROKEN, "%s: %s", member->name, err.text);
	if (ret_digest != NULL)
		memcpy(ret_digest, digest, sizeof(digest));
	return 0;
}

int oci_load_blob(const struct tarball *tarball, const struct oci_descriptor *descriptor,
		  json_t **ret_value, struct fault *fault)
{
	const struct tarball_member *member = NULL;

	if (oci_find_blob(tarball, descriptor->digest, &member, fault) < 0)
		return -1;
	if (member->bytes != descriptor->bytes)
		return fault_set(fault, FAULT_DIGEST_MISMATCH,
				 "the blob %s has %llu bytes where %llu are announced",
				 descriptor->digest, (unsigned long long)member->bytes,
				 (unsigned long long)descriptor->bytes);
	return oci_load_json(tarball, member, descriptor->digest, ret_value, NULL, fault);
}
