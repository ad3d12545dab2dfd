/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "maker.h"
#include "run.h"

struct made {
	struct run run;
	struct maker_image image;
	struct buf archive;
};

static void add_layer(struct maker_image *image, const char *path, const char *data)
{
	struct buf tar;

	maker_init(&tar);
	MAKER_ADD(&tar, .path = path, .data = data);
	maker_end(&tar);
	maker_image_add(image, &tar);
}

static int set_up(void **state)
{
	struct made *m = test_calloc(1, sizeof(*m));

	run_init(&m->run);
	maker_image_init(&m->image);
	add_layer(&m->image, "etc/os-release", "ID=test\n");
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	struct made *m = *state;

	run_done(&m->run);
	maker_image_done(&m->image);
	buf_done(&m->archive);
	test_free(m);
	return 0;
}

static enum fault_code import_oci(struct made *m)
{
	buf_done(&m->archive);
	maker_oci(&m->archive, &m->image);
	return run_import(&m->run, &m->archive);
}

static void assert_says(struct made *m, const char *text)
{
	if (m->run.events.data == NULL || strstr(m->run.events.data, text) == NULL)
		fail_msg("no %s in %s", text, m->run.events.data);
}

static void assert_debugfs(struct made *m, const char *request, const char *text)
{
	_cleanup_free_ char *output = run_debugfs(m->run.output_fd, request);

	if (strstr(output, text) == NULL)
		fail_msg("%s: no '%s' in: %s", request, text, output);
}

static void replace_layer(struct maker_image *image, unsigned i,
			  void (*compress)(struct buf *, const struct buf *))
{
	struct buf small;

	compress(&small, &image->plain[i]);
	buf_done(&image->layers[i]);
	image->layers[i] = small;
}

/* ---- what comes out ---- */

static void an_oci_archive_becomes_a_sound_file_system(void **state)
{
	struct made *m = *state;

	add_layer(&m->image, "etc/hostname", "machine\n");
	assert_int_equal(import_oci(m), FAULT_NONE);
	assert_says(m, "\"names\":[\"web:latest\"],\"config\":{\"Cmd\":[\"/bin/sh\"]},"
		       "\"architecture\":\"amd64\",\"os\":\"linux\"}\n");
	assert_says(m, "{\"event\":\"layer\",\"index\":1,\"count\":2,\"bytes\":2048}\n");
	assert_says(m, "{\"event\":\"layer\",\"index\":2,\"count\":2,\"bytes\":2048}\n");
	run_check(m->run.output_fd);
	assert_debugfs(m, "cat /etc/os-release", "ID=test\n");
	assert_debugfs(m, "cat /etc/hostname", "machine\n");
}

static void docker_and_oci_give_the_same_digest_and_the_same_bytes(void **state)
{
	struct made *m = *state;
	_cleanup_buf_ struct buf first;
	_cleanup_buf_ struct buf docker = {0}, image = {0}, again = {0};

	buf_init(&first, MIB);
	buf_init(&image, 64 * MIB);
	buf_init(&again, 64 * MIB);
	assert_int_equal(import_oci(m), FAULT_NONE);
	assert_int_equal(buf_append_string(&first, m->run.events.data), 0);
	lseek(m->run.output_fd, 0, SEEK_SET);
	assert_int_equal(fd_read_to_end(m->run.output_fd, &image), 0);
	maker_docker(&docker, &m->image);
	run_import_well(&m->run, &docker);
	assert_string_equal(m->run.events.data, first.data);
	lseek(m->run.output_fd, 0, SEEK_SET);
	assert_int_equal(fd_read_to_end(m->run.output_fd, &again), 0);
	assert_int_equal(image.length, again.length);
	assert_memory_equal(image.data, again.data, image.length);
}

static void layers_and_archives_may_be_compressed(void **state)
{
	static void (*const compressors[])(struct buf *, const struct buf *) = {maker_gzip,
										maker_zstd};
	static const char *const types[] = {"application/vnd.oci.image.layer.v1.tar+gzip",
					    "application/vnd.oci.image.layer.v1.tar+zstd"};
	struct made *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(compressors); i++) {
		_cleanup_buf_ struct buf small = {0};

		replace_layer(&m->image, 0, compressors[i]);
		m->image.layer_type = types[i];
		assert_int_equal(import_oci(m), FAULT_NONE);
		compressors[i](&small, &m->archive);
		run_import_well(&m->run, &small);
		run_check(m->run.output_fd);
		assert_debugfs(m, "cat /etc/os-release", "ID=test\n");
	}
}

static void an_image_may_be_empty(void **state)
{
	struct made *m = *state;

	maker_image_done(&m->image);
	maker_image_init(&m->image);
	assert_int_equal(import_oci(m), FAULT_NONE);
	run_check(m->run.output_fd);
}

/* What ext4 keeps in places of its own: each kind, each side of each edge. */
static void everything_in_a_tar_file_is_in_the_image(void **state)
{
	struct made *m = *state;
	_cleanup_buf_ struct buf pax = {0};
	char target[61] = {0}, path[64];
	char *big = test_calloc(1, 40 * 128 * KIB);
	struct buf tar;

	memset(target, 't', 60);
	/* 40 extents need a tree with a node of its own. */
	for (size_t i = 0; i < 40; i++)
		memset(big + i * 128 * KIB, 'x', 64 * KIB);
	maker_record(&pax, "SCHILY.xattr.security.capability",
		     "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	maker_record(&pax, "SCHILY.xattr.user.large", big, 2000);
	maker_init(&tar);
	MAKER_ADD(&tar, .path = "ping", .data = "ping", .mode = 04755, .uid = 070001, .gid = 7,
		  .pax = pax.data, .pax_bytes = pax.length);
	MAKER_ADD(&tar, .path = "holes", .data = big, .bytes = 40 * 128 * KIB);
	MAKER_ADD(&tar, .path = "slow", .type = '2', .target = target);
	target[59] = '\0';
	MAKER_ADD(&tar, .path = "fast", .type = '2', .target = target);
	MAKER_ADD(&tar, .path = "ping2", .type = '1', .target = "ping");
	MAKER_ADD(&tar, .path = "null", .type = '3', .major = 1, .minor = 3);
	MAKER_ADD(&tar, .path = "nvme", .type = '4', .major = 259, .minor = 70000);
	MAKER_ADD(&tar, .path = "pipe", .type = '6');
	for (int i = 0; i < 3000; i++) {
		snprintf(path, sizeof(path), "many/a-name-of-some-length-%d/", i);
		MAKER_ADD(&tar, .path = path, .type = i % 3 == 0 ? '5' : '0');
	}
	maker_end(&tar);
	maker_image_add(&m->image, &tar);
	assert_int_equal(import_oci(m), FAULT_NONE);
	run_check(m->run.output_fd);
	assert_debugfs(m, "stat /ping", "Mode:  04755");
	assert_debugfs(m, "stat /ping", "User: 28673   Group:     7");
	assert_debugfs(m, "stat /ping", "Links: 2");
	assert_debugfs(m, "stat /ping", "security.capability (20)");
	assert_debugfs(m, "stat /ping", "user.large (2000)");
	assert_debugfs(m, "stat /slow", "Size: 60");
	assert_debugfs(m, "stat /fast", "Fast link dest: \"ttt");
	assert_debugfs(m, "stat /null", "Device major/minor number: 01:03");
	assert_debugfs(m, "stat /nvme", "(New-style)");
	assert_debugfs(m, "stat /pipe", "Type: FIFO");
	assert_debugfs(m, "stat /many", "Links: 1002");
	/* 40 runs of 16 blocks and a node, in sectors. */
	assert_debugfs(m, "stat /holes", "Blockcount: 5128");
	test_free(big);
}

static void layers_are_applied_in_order(void **state)
{
	struct made *m = *state;

	add_layer(&m->image, "a", "first");
	add_layer(&m->image, "a", "second");
	add_layer(&m->image, "etc/.wh.os-release", "");
	assert_int_equal(import_oci(m), FAULT_NONE);
	run_check(m->run.output_fd);
	assert_debugfs(m, "cat /a", "second");
	assert_debugfs(m, "cat /etc/os-release", "File not found");
}

/* The file is as large as what is in it, and what was replaced takes no room. */
static void the_image_is_as_large_as_what_is_in_it(void **state)
{
	struct made *m = *state;
	char *big = test_calloc(1, 8 * MIB + 1);
	struct stat st;

	memset(big, 'x', 8 * MIB);
	add_layer(&m->image, "big", big);
	add_layer(&m->image, ".wh.big", "");
	assert_int_equal(import_oci(m), FAULT_NONE);
	run_check(m->run.output_fd);
	assert_int_equal(fstat(m->run.output_fd, &st), 0);
	assert_in_range(st.st_size, 8 * MIB, 10 * MIB);
	/* Where the file system can punch holes, which is where this is worth a test. */
	if ((uint64_t)st.st_blocks * 512 > 8 * MIB)
		print_message("no holes here\n");
	test_free(big);
}

/* ---- damage ---- */

static void a_blob_with_a_flipped_bit_is_found(void **state)
{
	struct made *m = *state;
	char *at;

	maker_oci(&m->archive, &m->image);
	at = memmem(m->archive.data, m->archive.length, "ID=test", 7);
	assert_non_null(at);
	*at ^= 1;
	assert_int_equal(run_import(&m->run, &m->archive), FAULT_DIGEST_MISMATCH);
	assert_non_null(strstr(m->run.fault.text, "layer 1"));
}

static void a_changed_config_is_found(void **state)
{
	struct made *m = *state;
	struct buf docker = {0};
	char *at;

	maker_oci(&m->archive, &m->image);
	at = memmem(m->archive.data, m->archive.length, "/bin/sh", 7);
	at[5] = 'z';
	assert_int_equal(run_import(&m->run, &m->archive), FAULT_DIGEST_MISMATCH);
	maker_docker(&docker, &m->image);
	at = memmem(docker.data, docker.length, "/bin/sh", 7);
	at[5] = 'z';
	assert_int_equal(run_import(&m->run, &docker), FAULT_DIGEST_MISMATCH);
	buf_done(&docker);
}

/* The blob is what the manifest says, and not what the config says is in it. */
static void a_layer_that_is_not_the_configs_is_found(void **state)
{
	struct made *m = *state;

	m->image.plain[0].data[0] = 'E';
	assert_int_equal(import_oci(m), FAULT_DIGEST_MISMATCH);
	assert_non_null(strstr(m->run.fault.text, "uncompressed"));
}

static void a_truncated_archive_is_found_wherever_it_ends(void **state)
{
	struct made *m = *state;
	size_t whole;

	replace_layer(&m->image, 0, maker_gzip);
	maker_oci(&m->archive, &m->image);
	whole = m->archive.length;
	/* All but the padding at the end. */
	for (m->archive.length = 0; m->archive.length < whole - 1536; m->archive.length += 100) {
		enum fault_code code = run_import(&m->run, &m->archive);

		if (code != FAULT_ARCHIVE_BROKEN && code != FAULT_ARCHIVE_UNSUPPORTED &&
		    code != FAULT_BLOB_MISSING && code != FAULT_IMAGE_BROKEN)
			fail_msg("%zu bytes: %s", m->archive.length, fault_code_name(code));
	}
}

static void a_truncated_compressed_archive_is_found(void **state)
{
	struct made *m = *state;
	struct buf small;

	maker_oci(&m->archive, &m->image);
	maker_gzip(&small, &m->archive);
	small.length /= 2;
	assert_int_equal(run_import(&m->run, &small), FAULT_ARCHIVE_BROKEN);
	buf_done(&small);
	maker_zstd(&small, &m->archive);
	small.length /= 2;
	assert_int_equal(run_import(&m->run, &small), FAULT_ARCHIVE_BROKEN);
	buf_done(&small);
}

static void what_is_no_archive_is_refused(void **state)
{
	static const struct {
		const char *text;
		enum fault_code code;
	} cases[] = {
		{"", FAULT_ARCHIVE_BROKEN},
		{"hello, I am a text and no archive", FAULT_ARCHIVE_BROKEN},
		{"\x1f\x8bgarbage", FAULT_ARCHIVE_BROKEN},
		{"\x28\xb5\x2f\xfdgarbage", FAULT_ARCHIVE_BROKEN},
		{"BZh91AY&SY", FAULT_ARCHIVE_UNSUPPORTED},
	};
	struct made *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf buf;

		maker_init(&buf);
		assert_int_equal(buf_append_string(&buf, cases[i].text), 0);
		assert_int_equal(run_import(&m->run, &buf), cases[i].code);
	}
}

/* A tar file inside a tar file is not unpacked because it looks like one. */
static void compression_is_undone_once(void **state)
{
	struct made *m = *state;
	struct buf once;

	maker_gzip(&once, &m->image.plain[0]);
	buf_done(&m->image.layers[0]);
	maker_gzip(&m->image.layers[0], &once);
	buf_done(&once);
	assert_int_equal(import_oci(m), FAULT_ARCHIVE_BROKEN);
}

/* ---- bombs ---- */

static void a_bomb_ends_at_the_ratio(void **state)
{
	struct made *m = *state;
	char *big = test_calloc(1, 4 * MIB + 1);

	memset(big, 'x', 4 * MIB);
	add_layer(&m->image, "big", big);
	replace_layer(&m->image, 1, maker_zstd);
	m->run.limits.ratio_floor_bytes = 5 * MIB;
	assert_int_equal(import_oci(m), FAULT_NONE);
	m->run.limits.ratio_floor_bytes = 1 * MIB;
	assert_int_equal(import_oci(m), FAULT_COMPRESSION_RATIO);
	test_free(big);
}

static void the_spool_ends_at_the_ratio(void **state)
{
	struct made *m = *state;
	char *big = test_calloc(1, 4 * MIB + 1);
	struct buf small;

	memset(big, 'x', 4 * MIB);
	add_layer(&m->image, "big", big);
	maker_oci(&m->archive, &m->image);
	maker_zstd(&small, &m->archive);
	m->run.limits.ratio_floor_bytes = 1 * MIB;
	assert_int_equal(run_import(&m->run, &small), FAULT_COMPRESSION_RATIO);
	assert_null(m->run.events.data);
	buf_done(&small);
	test_free(big);
}

static void all_layers_together_have_an_end(void **state)
{
	struct made *m = *state;

	add_layer(&m->image, "a", "a");
	m->run.limits.stream_bytes_max = 2 * 2048;
	assert_int_equal(import_oci(m), FAULT_NONE);
	m->run.limits.stream_bytes_max--;
	assert_int_equal(import_oci(m), FAULT_IMAGE_TOO_LARGE);
}

static void layers_have_an_end(void **state)
{
	struct made *m = *state;

	add_layer(&m->image, "a", "a");
	m->run.limits.layers_max = 2;
	assert_int_equal(import_oci(m), FAULT_NONE);
	m->run.limits.layers_max = 1;
	assert_int_equal(import_oci(m), FAULT_TOO_MANY_LAYERS);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_oci_archive_becomes_a_sound_file_system),
		TEST(docker_and_oci_give_the_same_digest_and_the_same_bytes),
		TEST(layers_and_archives_may_be_compressed),
		TEST(an_image_may_be_empty),
		TEST(everything_in_a_tar_file_is_in_the_image),
		TEST(layers_are_applied_in_order),
		TEST(the_image_is_as_large_as_what_is_in_it),
		TEST(a_blob_with_a_flipped_bit_is_found),
		TEST(a_changed_config_is_found),
		TEST(a_layer_that_is_not_the_configs_is_found),
		TEST(a_truncated_archive_is_found_wherever_it_ends),
		TEST(a_truncated_compressed_archive_is_found),
		TEST(what_is_no_archive_is_refused),
		TEST(compression_is_undone_once),
		TEST(a_bomb_ends_at_the_ratio),
		TEST(the_spool_ends_at_the_ratio),
		TEST(all_layers_together_have_an_end),
		TEST(layers_have_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
