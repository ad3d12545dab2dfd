/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From index.json to layers: the index names manifests (or further indexes, for several
 * architectures); the one manifest for this architecture names the config and the layers; the
 * config has the digests of the uncompressed layers. See the OCI image specification, v1.1.
 */
#include "oci.h"

#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "docker.h"
#include "oci_image.h"
#include "oci_json.h"

#define CANDIDATES_MAX      64
#define KEY_CONTAINERD_NAME "io.containerd.image.name"
#define KEY_REF_NAME        "org.opencontainers.image.ref.name"
#define KEY_REFERENCE_TYPE  "vnd.docker.reference.type"
#define DOCKER_HUB_LIBRARY  "docker.io/library/"

enum media {
	MEDIA_UNKNOWN,
	MEDIA_INDEX,
	MEDIA_MANIFEST,
	MEDIA_CONFIG,
	MEDIA_LAYER,
	MEDIA_LAYER_FOREIGN,
};

static const struct {
	const char *name;
	enum media media;
} media_types[] = {
	{"application/vnd.oci.image.index.v1+json", MEDIA_INDEX},
	{"application/vnd.docker.distribution.manifest.list.v2+json", MEDIA_INDEX},
	{"application/vnd.oci.image.manifest.v1+json", MEDIA_MANIFEST},
	{"application/vnd.docker.distribution.manifest.v2+json", MEDIA_MANIFEST},
	{"application/vnd.oci.image.config.v1+json", MEDIA_CONFIG},
	{"application/vnd.docker.container.image.v1+json", MEDIA_CONFIG},
	{"application/vnd.oci.image.layer.v1.tar", MEDIA_LAYER},
	{"application/vnd.oci.image.layer.v1.tar+gzip", MEDIA_LAYER},
	{"application/vnd.oci.image.layer.v1.tar+zstd", MEDIA_LAYER},
	{"application/vnd.docker.image.rootfs.diff.tar", MEDIA_LAYER},
	{"application/vnd.docker.image.rootfs.diff.tar.gzip", MEDIA_LAYER},
	{"application/vnd.docker.image.rootfs.diff.tar.zstd", MEDIA_LAYER},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar", MEDIA_LAYER_FOREIGN},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", MEDIA_LAYER_FOREIGN},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", MEDIA_LAYER_FOREIGN},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar", MEDIA_LAYER_FOREIGN},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", MEDIA_LAYER_FOREIGN},
};

static enum media media_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(media_types); i++) {
		if (strcmp(media_types[i].name, name) == 0)
			return media_types[i].media;
	}
	return MEDIA_UNKNOWN;
}

/* ---- config ---- */

static int copy_diff_ids(struct oci_image *image, struct fault *fault)
{
	json_t *rootfs = json_object_get(image->config, "rootfs");
	json_t *ids = json_object_get(rootfs, "diff_ids");

	if (!json_is_array(ids) || json_array_size(ids) != image->layer_count)
		return fault_set(fault, FAULT_IMAGE_BROKEN,
				 "the image's config names %zu layers, its manifest %u",
				 json_array_size(ids), image->layer_count);
	for (unsigned i = 0; i < image->layer_count; i++) {
		const char *id = json_string_value(json_array_get(ids, i));

		if (id == NULL)
			return fault_set(fault, FAULT_IMAGE_BROKEN, "a diff_id is not a string");
		if (digest_check(id, fault) < 0)
			return -1;
		strcpy(image->layers[i].diff_id, id);
	}
	return 0;
}

static int check_platform(const struct oci_image *image, const char *architecture,
			  struct fault *fault)
{
	if (image->architecture == NULL || image->os == NULL)
		return fault_set(fault, FAULT_IMAGE_BROKEN,
				 "the image's config does not say its architecture and os");
	if (strcmp(image->os, "linux") != 0)
		return fault_set(fault, FAULT_PLATFORM_UNSUPPORTED,
				 "the image is for %.60s; only images for linux can run",
				 image->os);
	if (strcmp(image->architecture, architecture) != 0)
		return fault_set(fault, FAULT_PLATFORM_UNSUPPORTED,
				 "the image is for %.60s, and this host runs %s: build it with "
				 "--platform linux/%s",
				 image->architecture, architecture, architecture);
	return 0;
}

int oci_image_finish(struct oci_image *image, const char *architecture, struct fault *fault)
{
	json_t *config = json_object_get(image->config, "config");
	const char *created = json_string_value(json_object_get(image->config, "created"));
	int64_t created_ns;

	if (!json_is_object(image->config) ||
	    (config != NULL && !json_is_null(config) && !json_is_object(config)))
		return fault_set(fault, FAULT_IMAGE_BROKEN,
				 "the image's config is not as specified");
	if (oci_string(image->config, "architecture", &image->architecture, fault) < 0 ||
	    oci_string(image->config, "os", &image->os, fault) < 0 ||
	    check_platform(image, architecture, fault) < 0)
		return -1;
	if (created != NULL && clock_parse(created, &created_ns) >= 0)
		image->created_s = created_ns / CLOCK_NS_PER_S;
	return copy_diff_ids(image, fault);
}

int oci_image_reserve_layers(struct oci_image *image, size_t count, const struct limits *limits,
			     struct fault *fault)
{
	if (count > limits->layers_max)
		return fault_set(fault, FAULT_TOO_MANY_LAYERS,
				 "the image has %zu layers; %u is the most", count,
				 limits->layers_max);
	image->layers = mem_zalloc(count * sizeof(image->layers[0]));
	image->layer_count = (unsigned)count;
	return 0;
}

void oci_image_add_name(struct oci_image *image, const char *name)
{
	/* What docker calls web:latest, containerd calls docker.io/library/web:latest. */
	if (strncmp(name, DOCKER_HUB_LIBRARY, strlen(DOCKER_HUB_LIBRARY)) == 0)
		name += strlen(DOCKER_HUB_LIBRARY);
	if (*name != '\0' && strlen(name) <= IMAGE_NAME_BYTES_MAX &&
	    strv_length(image->names) < IMAGE_NAMES_MAX && !strv_contains(image->names, name))
		strv_push(&image->names, name);
}

void oci_done(struct oci_image *image)
{
	json_decref(image->config);
	strv_free(image->names);
	free(image->layers);
	*image = (struct oci_image){0};
}

const char *oci_host_architecture(void)
{
	static const struct {
		const char *machine, *architecture;
	} machines[] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"arm64", "arm64"}};
	struct utsname name;

	if (uname(&name) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		if (strcmp(machines[i].machine, name.machine) == 0)
			return machines[i].architecture;
	}
	return NULL;
}

/* ---- manifest ---- */

static int read_layer(struct oci_layer *layer, json_t *value, const struct tarball *tarball,
		      struct fault *fault)
{
	struct oci_descriptor descriptor;
	enum media media;

	if (oci_read_descriptor(value, &descriptor, fault) < 0)
		return -1;
	media = media_of(descriptor.media_type);
	if (media != MEDIA_LAYER && media != MEDIA_LAYER_FOREIGN)
		return fault_set(fault, FAULT_MEDIA_TYPE_UNSUPPORTED,
				 "a layer of the type '%.200s' is not supported",
				 descriptor.media_type);
	if (oci_find_blob(tarball, descriptor.digest, &layer->member, fault) < 0) {
		if (media == MEDIA_LAYER_FOREIGN) {
			*fault = (struct fault){0};
			fault_set(fault, FAULT_LAYER_FOREIGN,
				  "the layer %s is not in the archive: its vendor does not allow "
				  "copies (foreign layer)",
				  descriptor.digest);
		}
		return -1;
	}
	if (layer->member->bytes != descriptor.bytes)
		return fault_set(fault, FAULT_DIGEST_MISMATCH,
				 "the layer %s has %llu bytes where %llu are announced",
				 descriptor.digest, (unsigned long long)layer->member->bytes,
				 (unsigned long long)descriptor.bytes);
	strcpy(layer->digest, descriptor.digest);
	return 0;
}

static int read_manifest(struct oci_image *image, json_t *manifest, const struct tarball *tarball,
			 const struct limits *limits, struct fault *fault)
{
	json_t *layers = json_object_get(manifest, "layers");
	struct oci_descriptor config;

	if (!json_is_array(layers))
		return fault_set(fault, FAULT_IMAGE_BROKEN, "the manifest has no layers");
	if (oci_read_descriptor(json_object_get(manifest, "config"), &config, fault) < 0)
		return fault_prefix(fault, "the manifest's config");
	if (media_of(config.media_type) != MEDIA_CONFIG)
		return fault_set(fault, FAULT_MEDIA_TYPE_UNSUPPORTED,
				 "this is no container image: its config has the type '%.200s'",
				 config.media_type);
	if (oci_load_blob(tarball, &config, &image->config, fault) < 0)
		return -1;
	strcpy(image->digest, config.digest);
	if (oci_image_reserve_layers(image, json_array_size(layers), limits, fault) < 0)
		return -1;
	for (unsigned i = 0; i < image->layer_count; i++) {
		if (read_layer(&image->layers[i], json_array_get(layers, i), tarball, fault) < 0)
			return fault_prefix(fault, "layer %u", i + 1);
	}
	return 0;
}

/* ---- index ---- */

/* A manifest that may be the one. */
struct candidate {
	json_t *descriptor; /* borrowed from an index that the search keeps */
	char digest[DIGEST_TEXT_BYTES];
	unsigned rank; /* lower is better */
	bool nested;
};

struct search {
	const struct tarball *tarball;
	const char *architecture;
	json_t *documents; /* an array that keeps what the descriptors lie in */
	struct candidate candidates[CANDIDATES_MAX];
	size_t count;
	char others[128]; /* architectures seen that are not wanted */
	const char *unknown_type;
	struct oci_image *image; /* gets the names */
	struct fault *fault;
};

static void note_other(struct search *s, const struct oci_descriptor *descriptor)
{
	size_t length = strlen(s->others);

	snprintf(s->others + length, sizeof(s->others) - length, "%s%.20s/%.20s",
		 length > 0 ? ", " : "", descriptor->os != NULL ? descriptor->os : "?",
		 descriptor->architecture);
}

/* Several variants of one architecture: the one that every processor of it runs comes first. */
static unsigned rank_of(const struct oci_descriptor *descriptor)
{
	if (descriptor->variant == NULL || *descriptor->variant == '\0' ||
	    strcmp(descriptor->variant, "v8") == 0 || strcmp(descriptor->variant, "v1") == 0)
		return 0;
	return 1;
}

static bool is_wanted(struct search *s, const struct oci_descriptor *descriptor)
{
	/* Attestations and signatures are listed as manifests of nothing. */
	if (oci_annotation(descriptor, KEY_REFERENCE_TYPE) != NULL)
		return false;
	if (descriptor->architecture == NULL)
		return true;
	if (strcmp(descriptor->architecture, "unknown") == 0)
		return false;
	if (strcmp(descriptor->architecture, s->architecture) == 0 &&
	    (descriptor->os == NULL || strcmp(descriptor->os, "linux") == 0))
		return true;
	note_other(s, descriptor);
	return false;
}

static void add_names(struct search *s, const struct oci_descriptor *descriptor)
{
	const char *full = oci_annotation(descriptor, KEY_CONTAINERD_NAME);
	const char *reference = oci_annotation(descriptor, KEY_REF_NAME);

	if (full != NULL)
		oci_image_add_name(s->image, full);
	/* Beside a full name it is that name's tag alone. */
	if (reference != NULL && (full == NULL || strchr(reference, ':') != NULL))
		oci_image_add_name(s->image, reference);
}

static int add_candidate(struct search *s, json_t *value, const struct oci_descriptor *descriptor,
			 bool nested)
{
	struct candidate *candidate;

	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->candidates[i].digest, descriptor->digest) == 0)
			return 0;
	}
	if (s->count == CANDIDATES_MAX)
		return fault_set(s->fault, FAULT_ARCHIVE_AMBIGUOUS,
				 "the archive has more than %d images", CANDIDATES_MAX);
	candidate = &s->candidates[s->count++];
	candidate->descriptor = value;
	strcpy(candidate->digest, descriptor->digest);
	candidate->rank = rank_of(descriptor);
	candidate->nested = nested;
	return 0;
}

static int search_index(struct search *s, json_t *index, unsigned depth);

static int search_nested(struct search *s, const struct oci_descriptor *descriptor, unsigned depth)
{
	json_t *index;

	if (depth >= IMAGE_INDEX_DEPTH_MAX)
		return fault_set(s->fault, FAULT_IMAGE_BROKEN,
				 "image indexes are nested deeper than %d", IMAGE_INDEX_DEPTH_MAX);
	if (json_array_size(s->documents) >= CANDIDATES_MAX)
		return fault_set(s->fault, FAULT_ARCHIVE_AMBIGUOUS,
				 "the archive has more than %d image indexes", CANDIDATES_MAX);
	if (oci_load_blob(s->tarball, descriptor, &index, s->fault) < 0)
		return -1;
	json_array_append_new(s->documents, index);
	return search_index(s, index, depth + 1);
}

static int search_item(struct search *s, json_t *value, unsigned depth)
{
	struct oci_descriptor descriptor;

	if (oci_read_descriptor(value, &descriptor, s->fault) < 0)
		return -1;
	if (!is_wanted(s, &descriptor))
		return 0;
	switch (media_of(descriptor.media_type)) {
	case MEDIA_INDEX:
		add_names(s, &descriptor);
		return search_nested(s, &descriptor, depth);
	case MEDIA_MANIFEST:
		add_names(s, &descriptor);
		return add_candidate(s, value, &descriptor, depth > 0);
	default:
		s->unknown_type = descriptor.media_type;
		return 0;
	}
}

static int search_index(struct search *s, json_t *index, unsigned depth)
{
	json_t *manifests = json_object_get(index, "manifests"), *value;
	size_t i;

	if (!json_is_array(manifests))
		return fault_set(s->fault, FAULT_IMAGE_BROKEN, "an image index has no manifests");
	json_array_foreach(manifests, i, value) {
		if (search_item(s, value, depth) < 0)
			return -1;
	}
	return 0;
}

static int say_none(const struct search *s)
{
	if (s->others[0] != '\0')
		return fault_set(s->fault, FAULT_PLATFORM_UNSUPPORTED,
				 "the archive has no image for linux/%s, only for %s",
				 s->architecture, s->others);
	if (s->unknown_type != NULL)
		return fault_set(s->fault, FAULT_MEDIA_TYPE_UNSUPPORTED,
				 "a manifest of the type '%.200s' is not supported",
				 s->unknown_type);
	return fault_set(s->fault, FAULT_IMAGE_BROKEN, "the archive's index names no image");
}

/* The best candidate. Variants of one image may compete; different images may not. */
static int choose(const struct search *s, json_t **ret_descriptor)
{
	const struct candidate *best = &s->candidates[0];
	bool ambiguous = false;

	if (s->count == 0)
		return say_none(s);
	for (size_t i = 1; i < s->count; i++) {
		const struct candidate *other = &s->candidates[i];

		if (!other->nested || !best->nested)
			ambiguous = true;
		else if (other->rank <= best->rank)
			ambiguous = other->rank == best->rank;
		if (other->rank < best->rank)
			best = other;
	}
	if (ambiguous)
		return fault_set(s->fault, FAULT_ARCHIVE_AMBIGUOUS,
				 "the archive has more than one image for linux/%s: save one alone",
				 s->architecture);
	*ret_descriptor = best->descriptor;
	return 0;
}

static int load_chosen(struct search *s, const struct limits *limits)
{
	_cleanup_json_ json_t *manifest = NULL;
	struct oci_descriptor descriptor;
	json_t *value = NULL;

	if (choose(s, &value) < 0 || oci_read_descriptor(value, &descriptor, s->fault) < 0 ||
	    oci_load_blob(s->tarball, &descriptor, &manifest, s->fault) < 0)
		return -1;
	return read_manifest(s->image, manifest, s->tarball, limits, s->fault);
}

static int load_layout(struct oci_image *image, const struct tarball *tarball,
		       const struct tarball_member *member, const char *architecture,
		       const struct limits *limits, struct fault *fault)
{
	_cleanup_json_ json_t *documents = json_array();
	struct search s = {
		.tarball = tarball,
		.architecture = architecture,
		.documents = documents,
		.image = image,
		.fault = fault,
	};
	json_t *index;

	if (oci_load_json(tarball, member, NULL, &index, NULL, fault) < 0)
		return -1;
	json_array_append_new(documents, index);
	if (search_index(&s, index, 0) < 0)
		return -1;
	return load_chosen(&s, limits);
}

int oci_load(struct oci_image *image, const struct tarball *tarball, const char *architecture,
	     const struct limits *limits, struct fault *fault)
{
	const struct tarball_member *index = tarball_find(tarball, "index.json");
	const struct tarball_member *manifest = tarball_find(tarball, "manifest.json");
	int r;

	*image = (struct oci_image){0};
	if (index != NULL)
		r = load_layout(image, tarball, index, architecture, limits, fault);
	else if (manifest != NULL)
		r = docker_load(image, tarball, manifest, limits, fault);
	else
		return fault_set(fault, FAULT_ARCHIVE_UNSUPPORTED,
				 "this is no image archive: it has neither index.json (OCI) nor "
				 "manifest.json (docker save)");
	return r < 0 ? -1 : oci_image_finish(image, architecture, fault);
}
