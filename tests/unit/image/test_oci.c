/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/strv.h"
#include "maker.h"
#include "oci.h"

#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define INDEX_TYPE    "application/vnd.oci.image.index.v1+json"
#define CONFIG_TYPE   "application/vnd.oci.image.config.v1+json"
#define NAME_KEY      "\"org.opencontainers.image.ref.name\""
#define LONG_NAME_KEY "\"io.containerd.image.name\""

/* An archive that is written by hand, blob by blob. */
struct made {
	struct buf archive;
	struct tarball tarball;
	struct oci_image image;
	struct fault fault;
	int fd;
	bool open;
};

static int set_up(void **state)
{
	struct made *m = test_calloc(1, sizeof(*m));

	maker_init(&m->archive);
	m->fd = -1;
	*state = m;
	return 0;
}

static void close_image(struct made *m)
{
	if (m->open) {
		oci_done(&m->image);
		tarball_close(&m->tarball);
	}
	m->open = false;
	m->fd = fd_close(m->fd);
}

static int tear_down(void **state)
{
	struct made *m = *state;

	close_image(m);
	buf_done(&m->archive);
	test_free(m);
	return 0;
}

static enum fault_code load(struct made *m, const char *architecture)
{
	int r;

	close_image(m);
	m->fault = (struct fault){0};
	m->fd = maker_file(&m->archive);
	m->open = true;
	m->image = (struct oci_image){0};
	r = tarball_open(&m->tarball, m->fd, -1, &limits_default, &m->fault);
	if (r >= 0)
		r = oci_load(&m->image, &m->tarball, architecture, &limits_default, &m->fault);
	assert_int_equal(r < 0, m->fault.code != FAULT_NONE);
	return m->fault.code;
}

/* Adds a blob; the descriptor is on the heap. `more` goes into it behind digest and size. */
static char *blob(struct made *m, const char *type, const char *text, const char *more)
{
	char descriptor[MAKER_DESCRIPTOR_BYTES];

	maker_blob(&m->archive, text, strlen(text), descriptor, sizeof(descriptor));
	return mem_printf("{\"mediaType\":\"%s\",%s%s}", type, descriptor, more);
}

/* A manifest without layers for a config; its descriptor. */
static char *manifest(struct made *m, const char *architecture, const char *more)
{
	_cleanup_free_ char *text = mem_printf(
		"{\"architecture\":\"%s\",\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[]}}",
		architecture);
	_cleanup_free_ char *config = blob(m, CONFIG_TYPE, text, "");
	_cleanup_free_ char *manifest_text = mem_printf("{\"config\":%s,\"layers\":[]}", config);

	return blob(m, MANIFEST_TYPE, manifest_text, more);
}

static void add_index(struct made *m, const char *descriptors)
{
	_cleanup_free_ char *text = mem_printf("{\"manifests\":[%s]}", descriptors);

	MAKER_ADD(&m->archive, .path = "./index.json", .data = text);
	maker_end(&m->archive);
}

static void add_index_of(struct made *m, char *descriptor)
{
	add_index(m, descriptor);
	free(descriptor);
}

static char *platform(const char *architecture, const char *variant)
{
	return mem_printf(",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"%s%s%s}",
			  architecture, variant != NULL ? ",\"variant\":\"" : "",
			  variant != NULL ? variant : "", variant != NULL ? "\"" : "");
}

/* ---- names ---- */

static void names_are_what_people_call_the_image(void **state)
{
	static const struct {
		const char *annotations, *name;
	} cases[] = {
		{NAME_KEY ":\"localhost/web:1\"", "localhost/web:1"},
		{NAME_KEY ":\"latest\"", "latest"},
		{NAME_KEY ":\"1\"," LONG_NAME_KEY ":\"docker.io/library/web:1\"", "web:1"},
		{NAME_KEY ":\"1\"," LONG_NAME_KEY ":\"quay.io/a/web:1\"", "quay.io/a/web:1"},
	};
	struct made *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *more =
			mem_printf(",\"annotations\":{%s}", cases[i].annotations);

		buf_clear(&m->archive);
		add_index_of(m, manifest(m, "amd64", more));
		assert_int_equal(load(m, "amd64"), FAULT_NONE);
		assert_int_equal(strv_length(m->image.names), 1);
		assert_string_equal(m->image.names[0], cases[i].name);
	}
}

static void one_image_may_have_several_names_or_none(void **state)
{
	struct made *m = *state;
	_cleanup_free_ char *one = manifest(m, "amd64", ",\"annotations\":{" NAME_KEY ":\"a:1\"}");
	_cleanup_free_ char *two = manifest(m, "amd64", ",\"annotations\":{" NAME_KEY ":\"a:2\"}");
	_cleanup_free_ char *both = mem_printf("%s,%s", one, two);

	add_index(m, both);
	assert_int_equal(load(m, "amd64"), FAULT_NONE);
	assert_int_equal(strv_length(m->image.names), 2);
	assert_string_equal(m->image.names[0], "a:1");
	assert_string_equal(m->image.names[1], "a:2");
	buf_clear(&m->archive);
	add_index_of(m, manifest(m, "amd64", ""));
	assert_int_equal(load(m, "amd64"), FAULT_NONE);
	assert_int_equal(strv_length(m->image.names), 0);
}

/* ---- platforms ---- */

/* An index of an index, as for several architectures, with an attestation beside them. */
static void add_nested(struct made *m, const char *const *platforms, size_t count)
{
	_cleanup_free_ char *items =
		mem_printf("{\"mediaType\":\"" MANIFEST_TYPE "\",\"digest\":\"sha256:%064d\","
			   "\"size\":1,\"platform\":{\"os\":\"unknown\",\"architecture\":"
			   "\"unknown\"},\"annotations\":{\"vnd.docker.reference.type\":"
			   "\"attestation-manifest\"}}",
			   0);
	_cleanup_free_ char *index = NULL;

	for (size_t i = 0; i < count; i++) {
		char architecture[16];
		const char *slash = strchr(platforms[i], '/');
		_cleanup_free_ char *more = NULL, *item = NULL, *joined = NULL;

		snprintf(architecture, sizeof(architecture), "%.*s",
			 (int)strcspn(platforms[i], "/"), platforms[i]);
		more = platform(architecture, slash != NULL ? slash + 1 : NULL);
		/* Contents that differ, so that digests do. */
		_cleanup_free_ char *text =
			mem_printf("{\"architecture\":\"%s\",\"os\":\"linux\",\"author\":\"%s\","
				   "\"rootfs\":{\"diff_ids\":[]}}",
				   architecture, platforms[i]);
		_cleanup_free_ char *config = blob(m, CONFIG_TYPE, text, "");
		_cleanup_free_ char *text2 = mem_printf("{\"config\":%s,\"layers\":[]}", config);
		item = blob(m, MANIFEST_TYPE, text2, more);
		joined = mem_printf("%s,%s", items, item);
		free(items);
		items = take_ptr(joined);
	}
	index = mem_printf("{\"manifests\":[%s]}", items);
	add_index_of(m,
		     blob(m, INDEX_TYPE, index, ",\"annotations\":{" NAME_KEY ":\"web:multi\"}"));
}

static const char *author(const struct made *m)
{
	return json_string_value(json_object_get(m->image.config, "author"));
}

static void the_hosts_architecture_is_chosen_from_a_nested_index(void **state)
{
	static const char *const platforms[] = {"s390x", "arm64/v8", "amd64"};
	struct made *m = *state;

	add_nested(m, platforms, ARRAY_SIZE(platforms));
	assert_int_equal(load(m, "amd64"), FAULT_NONE);
	assert_string_equal(author(m), "amd64");
	assert_string_equal(m->image.names[0], "web:multi");
	assert_int_equal(load(m, "arm64"), FAULT_NONE);
	assert_string_equal(author(m), "arm64/v8");
	assert_int_equal(load(m, "riscv64"), FAULT_PLATFORM_UNSUPPORTED);
	assert_non_null(strstr(m->fault.text, "linux/s390x, linux/arm64, linux/amd64"));
}

static void the_variant_that_always_runs_is_preferred(void **state)
{
	static const char *const platforms[] = {"amd64/v3", "amd64", "amd64/v2"};
	static const char *const two[] = {"amd64/v3", "amd64/v2"};
	struct made *m = *state;

	add_nested(m, platforms, ARRAY_SIZE(platforms));
	assert_int_equal(load(m, "amd64"), FAULT_NONE);
	assert_string_equal(author(m), "amd64");
	buf_clear(&m->archive);
	add_nested(m, two, ARRAY_SIZE(two));
	assert_int_equal(load(m, "amd64"), FAULT_ARCHIVE_AMBIGUOUS);
}

static void an_image_for_another_architecture_is_refused(void **state)
{
	struct made *m = *state;

	add_index_of(m, manifest(m, "s390x", ""));
	assert_int_equal(load(m, "amd64"), FAULT_PLATFORM_UNSUPPORTED);
	assert_non_null(strstr(m->fault.text, "s390x"));
	assert_non_null(strstr(m->fault.text, "--platform linux/amd64"));
}

static void two_images_in_one_archive_are_ambiguous(void **state)
{
	struct made *m = *state;
	_cleanup_free_ char *config =
		blob(m, CONFIG_TYPE,
		     "{\"architecture\":\"amd64\",\"os\":\"linux\",\"author\":\"x\",\"rootfs\":{}}",
		     "");
	_cleanup_free_ char *text = mem_printf("{\"config\":%s,\"layers\":[]}", config);
	_cleanup_free_ char *one =
		blob(m, MANIFEST_TYPE, text, ",\"annotations\":{" NAME_KEY ":\"a:1\"}");
	_cleanup_free_ char *two = manifest(m, "amd64", ",\"annotations\":{" NAME_KEY ":\"a:1\"}");
	_cleanup_free_ char *both = mem_printf("%s,%s", one, two);

	add_index(m, both);
	assert_int_equal(load(m, "amd64"), FAULT_ARCHIVE_AMBIGUOUS);
}

/* ---- what is not as it should be ---- */

static void indexes_do_not_nest_for_ever(void **state)
{
	struct made *m = *state;
	char *descriptor = manifest(m, "amd64", "");

	for (int i = 0; i < IMAGE_INDEX_DEPTH_MAX + 1; i++) {
		_cleanup_free_ char *text = mem_printf("{\"manifests\":[%s]}", descriptor);

		free(descriptor);
		descriptor = blob(m, INDEX_TYPE, text, "");
	}
	add_index_of(m, descriptor);
	assert_int_equal(load(m, "amd64"), FAULT_IMAGE_BROKEN);
}

static void each_wrong_index_has_its_code(void **state)
{
	static const char zeros[] =
		"sha256:0000000000000000000000000000000000000000000000000000000000000000";
	static const struct {
		const char *index;
		enum fault_code code;
	} cases[] = {
		{"{", FAULT_IMAGE_BROKEN},
		{"[]", FAULT_IMAGE_BROKEN},
		{"{\"manifests\":{}}", FAULT_IMAGE_BROKEN},
		{"{\"manifests\":[]}", FAULT_IMAGE_BROKEN},
		{"{\"manifests\":[3]}", FAULT_IMAGE_BROKEN},
		{"{\"manifests\":[],\"manifests\":[]}", FAULT_IMAGE_BROKEN},
		{"{\"manifests\":[{\"mediaType\":\"" MANIFEST_TYPE "\",\"size\":1}]}",
		 FAULT_IMAGE_BROKEN},
		{"{\"manifests\":[{\"mediaType\":\"" MANIFEST_TYPE "\",\"digest\":\"%s\","
		 "\"size\":-1}]}",
		 FAULT_IMAGE_BROKEN},
		{"{\"manifests\":[{\"mediaType\":\"" MANIFEST_TYPE "\",\"digest\":\"%s\","
		 "\"size\":1}]}",
		 FAULT_BLOB_MISSING},
		{"{\"manifests\":[{\"mediaType\":\"" MANIFEST_TYPE "\",\"digest\":\"sha256:../x\","
		 "\"size\":1}]}",
		 FAULT_IMAGE_BROKEN},
		{"{\"manifests\":[{\"mediaType\":\"" MANIFEST_TYPE "\",\"digest\":\"sha512:00\","
		 "\"size\":1}]}",
		 FAULT_DIGEST_UNSUPPORTED},
		{"{\"manifests\":[{\"mediaType\":\"application/x\",\"digest\":\"%s\","
		 "\"size\":1}]}",
		 FAULT_MEDIA_TYPE_UNSUPPORTED},
	};
	struct made *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = mem_printf(cases[i].index, zeros);

		buf_clear(&m->archive);
		MAKER_ADD(&m->archive, .path = "index.json", .data = text);
		maker_end(&m->archive);
		if (load(m, "amd64") != cases[i].code)
			fail_msg("%s: %s (%s)", text, fault_code_name(m->fault.code),
				 m->fault.text);
	}
}

/* What a manifest may say of config and layers. */
static void each_wrong_manifest_has_its_code(void **state)
{
	static const struct {
		const char *config_type, *layers;
		enum fault_code code;
	} cases[] = {
		{CONFIG_TYPE, "[]", FAULT_NONE},
		{"application/vnd.cncf.helm.config.v1+json", "[]", FAULT_MEDIA_TYPE_UNSUPPORTED},
		{CONFIG_TYPE, "{}", FAULT_IMAGE_BROKEN},
		{CONFIG_TYPE, "[{\"mediaType\":\"application/x\",%s}]",
		 FAULT_MEDIA_TYPE_UNSUPPORTED},
		{CONFIG_TYPE,
		 "[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip+encrypted\",%s}]",
		 FAULT_MEDIA_TYPE_UNSUPPORTED},
		{CONFIG_TYPE, "[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",%s}]",
		 FAULT_BLOB_MISSING},
		{CONFIG_TYPE,
		 "[{\"mediaType\":\"application/"
		 "vnd.docker.image.rootfs.foreign.diff.tar.gzip\",%s}]",
		 FAULT_LAYER_FOREIGN},
	};
	static const char missing[] =
		"\"size\":1,\"digest\":"
		"\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"";
	struct made *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *layers = mem_printf(cases[i].layers, missing);
		_cleanup_free_ char *config = NULL, *text = NULL;

		buf_clear(&m->archive);
		config = blob(m, cases[i].config_type,
			      "{\"architecture\":\"amd64\",\"os\":\"linux\","
			      "\"rootfs\":{\"diff_ids\":[]}}",
			      "");
		text = mem_printf("{\"config\":%s,\"layers\":%s}", config, layers);
		add_index_of(m, blob(m, MANIFEST_TYPE, text, ""));
		if (load(m, "amd64") != cases[i].code)
			fail_msg("%s: %s (%s)", text, fault_code_name(m->fault.code),
				 m->fault.text);
	}
}

static void each_wrong_config_has_its_code(void **state)
{
	static const struct {
		const char *config;
		enum fault_code code;
	} cases[] = {
		{"{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[]},"
		 "\"config\":null}",
		 FAULT_NONE},
		{"[]", FAULT_IMAGE_BROKEN},
		{"{\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[]}}", FAULT_IMAGE_BROKEN},
		{"{\"architecture\":3,\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[]}}",
		 FAULT_IMAGE_BROKEN},
		{"{\"architecture\":\"amd64\",\"os\":\"windows\",\"rootfs\":{\"diff_ids\":[]}}",
		 FAULT_PLATFORM_UNSUPPORTED},
		{"{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[\"x\"]}}",
		 FAULT_IMAGE_BROKEN},
		{"{\"architecture\":\"amd64\",\"os\":\"linux\"}", FAULT_IMAGE_BROKEN},
		{"{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[]},"
		 "\"config\":[]}",
		 FAULT_IMAGE_BROKEN},
	};
	struct made *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *config = NULL, *text = NULL;

		buf_clear(&m->archive);
		config = blob(m, CONFIG_TYPE, cases[i].config, "");
		text = mem_printf("{\"config\":%s,\"layers\":[]}", config);
		add_index_of(m, blob(m, MANIFEST_TYPE, text, ""));
		if (load(m, "amd64") != cases[i].code)
			fail_msg("%s: %s (%s)", cases[i].config, fault_code_name(m->fault.code),
				 m->fault.text);
	}
}

static void each_wrong_docker_manifest_has_its_code(void **state)
{
	static const struct {
		const char *manifest;
		enum fault_code code;
	} cases[] = {
		{"[{\"Config\":\"c.json\",\"RepoTags\":null,\"Layers\":[]}]", FAULT_NONE},
		{"[{\"Config\":\"link.json\",\"Layers\":[]}]", FAULT_NONE},
		{"[{\"Config\":\"loop.json\",\"Layers\":[]}]", FAULT_BLOB_MISSING},
		{"[{\"Config\":\"../c.json\",\"Layers\":[]}]", FAULT_BLOB_MISSING},
		{"[{\"Config\":\"none.json\",\"Layers\":[]}]", FAULT_BLOB_MISSING},
		{"[{\"Layers\":[]}]", FAULT_BLOB_MISSING},
		{"[{\"Config\":\"c.json\"}]", FAULT_IMAGE_BROKEN},
		{"[{\"Config\":\"c.json\",\"Layers\":[\"x\"]}]", FAULT_BLOB_MISSING},
		{"[{\"Config\":\"c.json\",\"Layers\":[\"c.json\"]}]", FAULT_IMAGE_BROKEN},
		{"[]", FAULT_IMAGE_BROKEN},
		{"{}", FAULT_IMAGE_BROKEN},
		{"[{},{}]", FAULT_ARCHIVE_AMBIGUOUS},
	};
	struct made *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		buf_clear(&m->archive);
		MAKER_ADD(&m->archive, .path = "c.json",
			  .data = "{\"architecture\":\"amd64\",\"os\":\"linux\","
				  "\"rootfs\":{\"diff_ids\":[]}}");
		MAKER_ADD(&m->archive, .path = "link.json", .type = '2', .target = "./c.json");
		MAKER_ADD(&m->archive, .path = "loop.json", .type = '2', .target = "loop.json");
		MAKER_ADD(&m->archive, .path = "manifest.json", .data = cases[i].manifest);
		maker_end(&m->archive);
		if (load(m, "amd64") != cases[i].code)
			fail_msg("%s: %s (%s)", cases[i].manifest, fault_code_name(m->fault.code),
				 m->fault.text);
	}
}

static void members_have_an_end(void **state)
{
	struct made *m = *state;

	for (int i = 0; i < IMAGE_MEMBERS_MAX; i++)
		MAKER_ADD(&m->archive, .path = "x");
	maker_end(&m->archive);
	assert_int_equal(load(m, "amd64"), FAULT_ARCHIVE_UNSUPPORTED);
	m->archive.length -= 1024;
	MAKER_ADD(&m->archive, .path = "x");
	assert_int_equal(load(m, "amd64"), FAULT_TOO_MANY_ENTRIES);
}

static void json_has_an_end(void **state)
{
	struct made *m = *state;
	char *big = test_calloc(1, IMAGE_JSON_BYTES_MAX + 1);

	memset(big, ' ', IMAGE_JSON_BYTES_MAX + 1);
	MAKER_ADD(&m->archive, .path = "index.json", .data = big,
		  .bytes = IMAGE_JSON_BYTES_MAX + 1);
	maker_end(&m->archive);
	assert_int_equal(load(m, "amd64"), FAULT_IMAGE_BROKEN);
	assert_non_null(strstr(m->fault.text, "larger"));
	test_free(big);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_are_what_people_call_the_image),
		TEST(one_image_may_have_several_names_or_none),
		TEST(the_hosts_architecture_is_chosen_from_a_nested_index),
		TEST(the_variant_that_always_runs_is_preferred),
		TEST(an_image_for_another_architecture_is_refused),
		TEST(two_images_in_one_archive_are_ambiguous),
		TEST(indexes_do_not_nest_for_ever),
		TEST(each_wrong_index_has_its_code),
		TEST(each_wrong_manifest_has_its_code),
		TEST(each_wrong_config_has_its_code),
		TEST(each_wrong_docker_manifest_has_its_code),
		TEST(members_have_an_end),
		TEST(json_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
