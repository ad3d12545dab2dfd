/* SPDX-License-Identifier: Apache-2.0 */
/* The edges of the tar codec; what other programs write and read: test_tar_tools.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wire/tar.h"

#define ROOM_BYTES 8448 /* two names of the greatest length */

static uint64_t room[ROOM_BYTES / sizeof(uint64_t)];
static struct wire_tar_reader reader;
static uint8_t out[1 << 20];

/* The first event that is not MORE, of the first `length` bytes of `out`. */
static int read_first(size_t length, size_t room_bytes)
{
	const uint8_t *data = out;
	struct wire_tar_piece piece;

	wire_tar_reader_init(&reader, room, room_bytes);
	return wire_tar_read(&reader, &data, &length, &piece);
}

static size_t write_entry(const struct wire_tar_entry *entry)
{
	long n = wire_tar_write(entry, out, sizeof(out));

	assert_true(n > 0 && n % WIRE_TAR_BLOCK_BYTES == 0);
	return (size_t)n;
}

static void make_path(char *ret_path, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		ret_path[i] = i % 50 == 49 && i + 1 < bytes ? '/' : 'p';
	ret_path[bytes] = '\0';
}

static void paths_of_every_length_come_back(void **state)
{
	char path[WIRE_TAR_PATH_BYTES_MAX + 2];

	for (size_t bytes = 1; bytes <= WIRE_TAR_PATH_BYTES_MAX; bytes++) {
		struct wire_tar_entry entry = {.type = WIRE_TAR_SYMLINK,
					       .path = path,
					       .target = path};

		make_path(path, bytes);
		assert_int_equal(read_first(write_entry(&entry), ROOM_BYTES), WIRE_TAR_ENTRY);
		assert_string_equal(reader.entry.path, path);
		assert_string_equal(reader.entry.target, path);
	}
	assert_int_equal(read_first(sizeof(out), 8000), -E2BIG);
}

static void entries_that_make_no_sense_are_not_written(void **state)
{
	static const struct wire_tar_extent backwards[] = {{100, 10}, {50, 10}};
	static const struct wire_tar_extent beyond[] = {{100, 10}, {995, 10}};
	char path[WIRE_TAR_PATH_BYTES_MAX + 2];
	struct wire_tar_entry entry = {.path = path};

	make_path(path, WIRE_TAR_PATH_BYTES_MAX + 1);
	assert_int_equal(wire_tar_write(&entry, out, sizeof(out)), -EINVAL);
	entry.path = "";
	assert_int_equal(wire_tar_write(&entry, out, sizeof(out)), -EINVAL);
	entry = (struct wire_tar_entry){.path = "x", .uid = -1};
	assert_int_equal(wire_tar_write(&entry, out, sizeof(out)), -EINVAL);
	entry = (struct wire_tar_entry){.path = "x",
					.bytes = 1000,
					.sparse = true,
					.extents = backwards,
					.extent_count = 2};
	assert_int_equal(wire_tar_write(&entry, out, sizeof(out)), -EINVAL);
	entry.extents = beyond;
	assert_int_equal(wire_tar_write(&entry, out, sizeof(out)), -EINVAL);
}

static void what_does_not_fit_is_not_written(void **state)
{
	struct wire_tar_entry entry = {.path = "x", .mtime_ns = 1};
	size_t length = write_entry(&entry);

	assert_int_equal(length, 3 * WIRE_TAR_BLOCK_BYTES);
	for (size_t size = 0; size < length; size += 100)
		assert_int_equal(wire_tar_write(&entry, out, size), -EMSGSIZE);
	assert_int_equal(wire_tar_write(&entry, out, length), length);
}

static void numbers_beyond_their_fields_come_back(void **state)
{
	static const struct {
		uint64_t bytes;
		int64_t id, mtime_s;
	} numbers[] = {
		{0, 0, 0},
		{(1ULL << 33) - 1, (1 << 21) - 1, (INT64_C(1) << 33) - 1},
		{1ULL << 33, 1 << 21, INT64_C(1) << 33},
		{INT64_MAX / 16, UINT32_MAX - 1, INT64_MAX / 16},
		{1, 1, -1},
		{1, 1, INT64_MIN / 16},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		for (uint32_t ns = 0; ns < 1000000000; ns += 333333333) {
			struct wire_tar_entry entry = {
				.path = "x",
				.bytes = numbers[i].bytes,
				.uid = numbers[i].id,
				.gid = numbers[i].id,
				.mtime_s = numbers[i].mtime_s,
				.mtime_ns = ns,
				.mode = 07777,
			};

			assert_int_equal(read_first(write_entry(&entry), ROOM_BYTES),
					 WIRE_TAR_ENTRY);
			assert_int_equal(reader.entry.bytes, entry.bytes);
			assert_int_equal(reader.entry.uid, entry.uid);
			assert_int_equal(reader.entry.gid, entry.gid);
			assert_int_equal(reader.entry.mtime_s, entry.mtime_s);
			assert_int_equal(reader.entry.mtime_ns, ns);
			assert_int_equal(reader.entry.mode, 07777);
		}
	}
}

/* The length of a record is part of what it counts: 9 and 10, 99 and 100, 999 and 1000. */
static void attributes_of_every_length_come_back(void **state)
{
	static uint8_t records[2048], value[1100];

	memset(value, '=', sizeof(value));
	for (size_t bytes = 0; bytes < sizeof(value); bytes++) {
		struct wire_tar_xattr put = {"user.k", 6, value, bytes}, got;
		struct wire_tar_entry entry = {.path = "x", .records = records};
		long n = wire_tar_xattr_put(&put, records, sizeof(records));
		size_t at = 0;

		assert_true(n > 0);
		assert_int_equal(wire_tar_xattr_put(&put, records, (size_t)n - 1), -EMSGSIZE);
		entry.record_bytes = (size_t)n;
		assert_int_equal(read_first(write_entry(&entry), ROOM_BYTES), WIRE_TAR_ENTRY);
		assert_true(wire_tar_xattr_next(&reader.entry, &at, &got));
		assert_int_equal(got.name_bytes, 6);
		assert_memory_equal(got.name, "user.k", 6);
		assert_int_equal(got.value_bytes, bytes);
		assert_memory_equal(got.value, value, bytes);
		assert_false(wire_tar_xattr_next(&reader.entry, &at, &got));
	}
}

static void a_sparse_file_needs_room_for_its_parts(void **state)
{
	static struct wire_tar_extent extents[200];
	struct wire_tar_entry entry = {.path = "x",
				       .bytes = 1 << 20,
				       .sparse = true,
				       .extents = extents};
	size_t length;

	for (size_t i = 0; i < 200; i++)
		extents[i] = (struct wire_tar_extent){i * 1000, 1};
	entry.extent_count = 200;
	length = write_entry(&entry);
	assert_int_equal(read_first(length, ROOM_BYTES), WIRE_TAR_ENTRY);
	assert_int_equal(reader.entry.extent_count, 200);
	assert_memory_equal(reader.entry.extents, extents, sizeof(extents));
	assert_int_equal(wire_tar_content_bytes(&reader.entry), 200);
	assert_int_equal(reader.entry.bytes, 1 << 20);
	assert_int_equal(read_first(length, 1024), -E2BIG);
	assert_non_null(reader.problem);
}

static void a_file_that_is_one_hole_has_no_contents(void **state)
{
	struct wire_tar_entry entry = {.path = "x", .bytes = 1ULL << 40, .sparse = true};
	const uint8_t *data = out;
	struct wire_tar_piece piece;
	size_t length = write_entry(&entry);

	wire_tar_reader_init(&reader, room, sizeof(room));
	assert_int_equal(wire_tar_read(&reader, &data, &length, &piece), WIRE_TAR_ENTRY);
	assert_int_equal(reader.entry.bytes, 1ULL << 40);
	assert_int_equal(wire_tar_read(&reader, &data, &length, &piece), WIRE_TAR_DONE);
	assert_int_equal(wire_tar_read(&reader, &data, &length, &piece), WIRE_TAR_MORE);
	assert_int_equal(length, 0);
	assert_int_equal(wire_tar_reader_end(&reader), 0);
}

static void an_error_stays(void **state)
{
	struct wire_tar_entry entry = {.path = "x"};
	struct wire_tar_piece piece;
	const uint8_t *data = out;
	size_t length = write_entry(&entry);

	out[0] = 'y';
	assert_int_equal(read_first(length, ROOM_BYTES), -EBADMSG);
	out[0] = 'x';
	assert_int_equal(wire_tar_read(&reader, &data, &length, &piece), -EBADMSG);
	assert_int_equal(wire_tar_reader_end(&reader), -EBADMSG);
}

static void the_end_may_come_without_its_blocks_but_not_within_an_entry(void **state)
{
	struct wire_tar_entry entry = {.path = "x", .bytes = 10, .mtime_ns = 1};
	size_t length = write_entry(&entry) + WIRE_TAR_BLOCK_BYTES;

	memset(out + length - WIRE_TAR_BLOCK_BYTES, 0, WIRE_TAR_BLOCK_BYTES);
	for (size_t cut = 0; cut <= length; cut++) {
		struct wire_tar_piece piece;
		const uint8_t *data = out;
		size_t left = cut;

		wire_tar_reader_init(&reader, room, sizeof(room));
		while (wire_tar_read(&reader, &data, &left, &piece) > WIRE_TAR_MORE)
			;
		assert_int_equal(wire_tar_reader_end(&reader),
				 cut == 0 || cut == length ? 0 : -EBADMSG);
	}
}

static void any_bytes_but_nul_are_a_name(void **state)
{
	char path[256];
	struct wire_tar_entry entry = {.path = path};

	for (size_t i = 0; i < 255; i++)
		path[i] = (char)(i + 1);
	path[255] = '\0';
	assert_int_equal(read_first(write_entry(&entry), ROOM_BYTES), WIRE_TAR_ENTRY);
	assert_string_equal(reader.entry.path, path);
	/* Names that are not UTF-8 say so. */
	assert_non_null(memmem(out, 2048, "hdrcharset=BINARY\n", 18));
	strcpy(path + 110, "\xc3\xa4");
	memset(path, 'x', 110);
	write_entry(&entry);
	assert_null(memmem(out, 1024, "hdrcharset", 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_of_every_length_come_back),
		cmocka_unit_test(entries_that_make_no_sense_are_not_written),
		cmocka_unit_test(what_does_not_fit_is_not_written),
		cmocka_unit_test(numbers_beyond_their_fields_come_back),
		cmocka_unit_test(attributes_of_every_length_come_back),
		cmocka_unit_test(a_sparse_file_needs_room_for_its_parts),
		cmocka_unit_test(a_file_that_is_one_hole_has_no_contents),
		cmocka_unit_test(an_error_stays),
		cmocka_unit_test(the_end_may_come_without_its_blocks_but_not_within_an_entry),
		cmocka_unit_test(any_bytes_but_nul_are_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
