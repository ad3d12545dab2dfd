/* SPDX-License-Identifier: Apache-2.0 */
#include "docker.h"

#include <string.h>

#include "oci_image.h"
#include "oci_json.h"

static int find_file(const struct tarball *tarball, const char *name,
		     const struct tarball_member **ret_member, struct fault *fault)
{
	*ret_member = name != NULL ? tarball_find(tarball, name) : NULL;
	if (*ret_member == NULL)
		return fault_set(fault, FAULT_BLOB_MISSING, "the archive lacks the file %.200s",
				 name != NULL ? name : "that manifest.json should name");
	return 0;
}

/* A file that is named for its digest must have it. */
static int check_name(const char *name, const char *digest, struct fault *fault)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash != NULL ? slash + 1 : name;

	if (!digest_is_hex(base, strcspn(base, ".")))
		return 0;
	if (strncmp(base, digest + strlen("sha256:"), DIGEST_HEX_BYTES) != 0)
		return fault_set(fault, FAULT_DIGEST_MISMATCH,
				 "the file %.200s is damaged: its digest is %s", name, digest);
	return 0;
}

static int load_config(struct oci_image *image, const struct tarball *tarball, const char *name,
		       struct fault *fault)
{
	const struct tarball_member *member;

	if (find_file(tarball, name, &member, fault) < 0 ||
	    oci_load_json(tarball, member, NULL, &image->config, image->digest, fault) < 0)
		return -1;
	return check_name(name, image->digest, fault);
}

static int load_layers(struct oci_image *image, const struct tarball *tarball, json_t *layers,
		       const struct limits *limits, struct fault *fault)
{
	if (!json_is_array(layers))
		return fault_set(fault, FAULT_IMAGE_BROKEN, "manifest.json names no layers");
	if (oci_image_reserve_layers(image, json_array_size(layers), limits, fault) < 0)
		return -1;
	for (unsigned i = 0; i < image->layer_count; i++) {
		const char *name = json_string_value(json_array_get(layers, i));

		if (find_file(tarball, name, &image->layers[i].member, fault) < 0)
			return -1;
	}
	return 0;
}

static void add_names(struct oci_image *image, json_t *tags)
{
	json_t *tag;
	size_t i;

	json_array_foreach(tags, i, tag) {
		if (json_is_string(tag))
			oci_image_add_name(image, json_string_value(tag));
	}
}

int docker_load(struct oci_image *image, const struct tarball *tarball,
		const struct tarball_member *manifest, const struct limits *limits,
		struct fault *fault)
{
	_cleanup_json_ json_t *value = NULL;
	const char *config;
	json_t *item;

	if (oci_load_json(tarball, manifest, NULL, &value, NULL, fault) < 0)
		return -1;
	if (json_array_size(value) > 1)
		return fault_set(fault, FAULT_ARCHIVE_AMBIGUOUS,
				 "the archive has %zu images: save one alone",
				 json_array_size(value));
	item = json_array_get(value, 0);
	if (!json_is_object(item))
		return fault_set(fault, FAULT_IMAGE_BROKEN, "manifest.json names no image");
	if (oci_string(item, "Config", &config, fault) < 0 ||
	    load_config(image, tarball, config, fault) < 0)
		return -1;
	add_names(image, json_object_get(item, "RepoTags"));
	return load_layers(image, tarball, json_object_get(item, "Layers"), limits, fault);
}
