/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "limits.h"
#include "maker.h"
#include "tar.h"

struct opened {
	struct maker_stream stream;
	struct tar tar;
	struct fault fault;
};

static void open_tar(struct opened *o, const struct buf *buf, size_t step)
{
	o->fault = (struct fault){0};
	maker_stream_init(&o->stream, buf, step);
	tar_init(&o->tar, &o->stream.stream);
}

static const struct wire_tar_entry *next(struct opened *o)
{
	const struct wire_tar_entry *entry;

	if (tar_next(&o->tar, &entry, &o->fault) != 1)
		fail_msg("%s", o->fault.text);
	return entry;
}

/* Reads all entries and contents; the fault it ends with, FAULT_NONE for a sound end. */
static enum fault_code walk(const struct buf *buf)
{
	const struct wire_tar_entry *entry;
	struct opened o;
	const void *data;
	int r;

	open_tar(&o, buf, 1000);
	while ((r = tar_next(&o.tar, &entry, &o.fault)) > 0) {
		ssize_t n;

		do {
			n = tar_read(&o.tar, &data, &o.fault);
		} while (n > 0);
		if (n < 0)
			r = -1;
		if (r < 0)
			break;
	}
	tar_done(&o.tar);
	assert_int_equal(r < 0, o.fault.code != FAULT_NONE);
	return o.fault.code;
}

static void read_text(struct opened *o, char *ret_text, size_t size)
{
	size_t done = 0;
	const void *data;
	ssize_t n;

	while ((n = tar_read(&o->tar, &data, &o->fault)) > 0) {
		assert_true(done + (size_t)n < size);
		memcpy(ret_text + done, data, (size_t)n);
		done += (size_t)n;
	}
	assert_int_equal(n, 0);
	ret_text[done] = '\0';
}

static void entries_come_in_order_whatever_the_pieces(void **state)
{
	static const size_t steps[] = {1, 7, 512, 513, 100000};
	_cleanup_buf_ struct buf buf;

	maker_init(&buf);
	MAKER_ADD(&buf, .path = "dir/", .type = '5', .mode = 01777);
	MAKER_ADD(&buf, .path = "dir/file", .data = "contents", .mode = 04755, .uid = 7, .gid = 8);
	MAKER_ADD(&buf, .path = "link", .type = '2', .target = "dir/file");
	MAKER_ADD(&buf, .path = "null", .type = '3', .major = 1, .minor = 3);
	maker_end(&buf);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		const struct wire_tar_entry *entry;
		struct opened o;
		char text[16];

		open_tar(&o, &buf, steps[i]);
		entry = next(&o);
		assert_string_equal(entry->path, "dir/");
		assert_int_equal(entry->type, WIRE_TAR_DIRECTORY);
		assert_int_equal(entry->mode, 01777);
		entry = next(&o);
		assert_int_equal(entry->bytes, 8);
		assert_int_equal(entry->mode, 04755);
		assert_int_equal(entry->uid, 7);
		assert_int_equal(entry->gid, 8);
		assert_int_equal(entry->mtime_s, 1700000000);
		read_text(&o, text, sizeof(text));
		assert_string_equal(text, "contents");
		assert_string_equal(next(&o)->target, "dir/file");
		entry = next(&o);
		assert_int_equal(entry->type, WIRE_TAR_CHAR);
		assert_int_equal(entry->minor, 3);
		assert_int_equal(tar_next(&o.tar, &entry, &o.fault), 0);
		tar_done(&o.tar);
	}
}

static void contents_that_nobody_reads_are_passed_over(void **state)
{
	_cleanup_buf_ struct buf buf;
	struct opened o;

	maker_init(&buf);
	MAKER_ADD(&buf, .path = "a", .data = "some contents");
	MAKER_ADD(&buf, .path = "b");
	open_tar(&o, &buf, 100);
	next(&o);
	assert_string_equal(next(&o)->path, "b");
	tar_done(&o.tar);
}

static void pax_records_win_over_the_header(void **state)
{
	static const char capability[] = {1, 0, 0, 2, 0, '\n', '=', 0};
	_cleanup_buf_ struct buf buf, pax = {0};
	const struct wire_tar_entry *entry;
	struct wire_tar_xattr xattr;
	struct opened o;
	char text[16];
	size_t at = 0;

	maker_init(&buf);
	maker_record(&pax, "path", "a/n\xcc\x83", 5);
	maker_record(&pax, "mtime", "-1.25", 5);
	maker_record(&pax, "uid", "3000000000", 10);
	maker_record(&pax, "size", "3", 1);
	maker_record(&pax, "SCHILY.xattr.security.capability", capability, sizeof(capability));
	maker_record(&pax, "comment", "ignored", 7);
	MAKER_ADD(&buf, .path = "short", .data = "abc", .pax = pax.data, .pax_bytes = pax.length);
	MAKER_ADD(&buf, .path = "next");
	maker_end(&buf);
	open_tar(&o, &buf, 512);
	entry = next(&o);
	/* Decomposed letters stay so: they are bytes. */
	assert_string_equal(entry->path, "a/n\xcc\x83");
	assert_int_equal(entry->mtime_s, -2);
	assert_int_equal(entry->mtime_ns, 750000000);
	assert_int_equal(entry->uid, 3000000000);
	assert_true(wire_tar_xattr_next(entry, &at, &xattr));
	assert_int_equal(xattr.name_bytes, strlen("security.capability"));
	assert_memory_equal(xattr.name, "security.capability", xattr.name_bytes);
	assert_int_equal(xattr.value_bytes, sizeof(capability));
	assert_memory_equal(xattr.value, capability, sizeof(capability));
	assert_false(wire_tar_xattr_next(entry, &at, &xattr));
	read_text(&o, text, sizeof(text));
	assert_string_equal(text, "abc");
	/* They are for one entry. */
	entry = next(&o);
	assert_string_equal(entry->path, "next");
	at = 0;
	assert_false(wire_tar_xattr_next(entry, &at, &xattr));
	assert_int_equal(entry->mtime_s, 1700000000);
	tar_done(&o.tar);
}

static void long_names_of_gnu_tar(void **state)
{
	_cleanup_buf_ struct buf buf;
	char path[301], target[202];
	const struct wire_tar_entry *entry;
	struct opened o;

	memset(path, 'p', 300);
	path[300] = '\0';
	memset(target, 't', 201);
	target[201] = '\0';
	maker_init(&buf);
	MAKER_ADD(&buf, .path = "././@LongLink", .type = 'K', .data = target, .bytes = 202);
	MAKER_ADD(&buf, .path = "././@LongLink", .type = 'L', .data = path, .bytes = 301);
	MAKER_ADD(&buf, .path = "ppp", .type = '2', .target = "ttt");
	open_tar(&o, &buf, 512);
	entry = next(&o);
	assert_string_equal(entry->path, path);
	assert_string_equal(entry->target, target);
	tar_done(&o.tar);
}

static void numbers_in_binary(void **state)
{
	_cleanup_buf_ struct buf buf;
	struct opened o;
	unsigned sum = 0;
	char field[9];

	maker_init(&buf);
	MAKER_ADD(&buf, .path = "f");
	maker_end(&buf);
	/* uid 2^31 + 1, big-endian behind 0x80. */
	memcpy(buf.data + 108, "\x80\0\0\0\x80\0\0\x01", 8);
	memset(buf.data + 148, ' ', 8);
	for (size_t i = 0; i < 512; i++)
		sum += (uint8_t)buf.data[i];
	snprintf(field, sizeof(field), "%06o", sum);
	memcpy(buf.data + 148, field, 7);
	open_tar(&o, &buf, 512);
	assert_int_equal(next(&o)->uid, 0x80000001LL);
	tar_done(&o.tar);
}

static void damage_is_found(void **state)
{
	_cleanup_buf_ struct buf buf, pax = {0};

	maker_init(&buf);
	MAKER_ADD(&buf, .path = "file", .data = "contents");
	assert_int_equal(walk(&buf), FAULT_NONE);
	/* In the middle of the contents, of the header. */
	buf.length = 512 + 4;
	assert_int_equal(walk(&buf), FAULT_ARCHIVE_BROKEN);
	buf.length = 100;
	assert_int_equal(walk(&buf), FAULT_ARCHIVE_BROKEN);
	buf.length = 512;
	buf.data[0] = 'F';
	assert_int_equal(walk(&buf), FAULT_ARCHIVE_BROKEN);
	buf_clear(&buf);
	MAKER_ADD(&buf, .path = "file", .pax = "100 path=x\n", .pax_bytes = 11);
	assert_int_equal(walk(&buf), FAULT_ARCHIVE_BROKEN);
	buf_clear(&buf);
	MAKER_ADD(&buf, .path = "file", .pax = "99999999999999999999 path=x\n", .pax_bytes = 28);
	assert_int_equal(walk(&buf), FAULT_ARCHIVE_BROKEN);
	buf_clear(&buf);
	MAKER_ADD(&buf, .path = "file", .pax = "3 =\n", .pax_bytes = 4);
	assert_int_equal(walk(&buf), FAULT_ARCHIVE_BROKEN);
	buf_clear(&buf);
	maker_record(&pax, "size", "-3", 2);
	MAKER_ADD(&buf, .path = "file", .pax = pax.data, .pax_bytes = pax.length);
	assert_int_equal(walk(&buf), FAULT_ARCHIVE_BROKEN);
}

static void a_name_with_a_nul_is_refused(void **state)
{
	_cleanup_buf_ struct buf buf, pax = {0};

	maker_init(&buf);
	maker_record(&pax, "path", "etc\0passwd", 10);
	MAKER_ADD(&buf, .path = "x", .pax = pax.data, .pax_bytes = pax.length);
	assert_int_equal(walk(&buf), FAULT_PATH_UNSAFE);
}

static void what_is_too_long_is_refused(void **state)
{
	_cleanup_buf_ struct buf buf, pax = {0};
	_cleanup_buf_ struct buf name;

	buf_init(&name, 2 * MIB);
	while (name.length < IMAGE_PATH_BYTES_MAX - 1)
		assert_int_equal(buf_append_string(&name, "n/"), 0);
	assert_int_equal(buf_append_string(&name, "n"), 0);
	maker_init(&buf);
	maker_record(&pax, "path", name.data, IMAGE_PATH_BYTES_MAX);
	MAKER_ADD(&buf, .path = "x", .pax = pax.data, .pax_bytes = pax.length);
	assert_int_equal(walk(&buf), FAULT_NONE);
	buf_clear(&pax);
	buf_clear(&buf);
	assert_int_equal(buf_append_string(&name, "n"), 0);
	maker_record(&pax, "path", name.data, IMAGE_PATH_BYTES_MAX + 1);
	MAKER_ADD(&buf, .path = "x", .pax = pax.data, .pax_bytes = pax.length);
	assert_int_equal(walk(&buf), FAULT_PATH_TOO_LONG);
	/* An extension that is said to be enormous is not waited for. */
	buf_clear(&buf);
	MAKER_ADD(&buf, .path = "x", .type = 'L', .data = "n");
	memcpy(buf.data + 124, "77777777777", 11);
	assert_int_equal(walk(&buf), FAULT_ARCHIVE_BROKEN);
}

static void sparse_and_unknown_types_are_refused(void **state)
{
	_cleanup_buf_ struct buf buf, pax = {0};

	maker_init(&buf);
	MAKER_ADD(&buf, .path = "x", .type = 'S');
	assert_int_equal(walk(&buf), FAULT_ENTRY_UNSUPPORTED);
	buf_clear(&buf);
	MAKER_ADD(&buf, .path = "x", .type = 'Z');
	assert_int_equal(walk(&buf), FAULT_ENTRY_UNSUPPORTED);
	buf_clear(&buf);
	maker_record(&pax, "GNU.sparse.size", "100", 3);
	MAKER_ADD(&buf, .path = "x", .pax = pax.data, .pax_bytes = pax.length);
	assert_int_equal(walk(&buf), FAULT_ENTRY_UNSUPPORTED);
}

static void global_headers_say_nothing_about_files(void **state)
{
	_cleanup_buf_ struct buf buf;
	struct opened o;

	maker_init(&buf);
	MAKER_ADD(&buf, .path = "g", .type = 'g', .data = "20 path=elsewhere/xx\n");
	MAKER_ADD(&buf, .path = "here");
	open_tar(&o, &buf, 512);
	assert_string_equal(next(&o)->path, "here");
	tar_done(&o.tar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_come_in_order_whatever_the_pieces),
		cmocka_unit_test(contents_that_nobody_reads_are_passed_over),
		cmocka_unit_test(pax_records_win_over_the_header),
		cmocka_unit_test(long_names_of_gnu_tar),
		cmocka_unit_test(numbers_in_binary),
		cmocka_unit_test(damage_is_found),
		cmocka_unit_test(a_name_with_a_nul_is_refused),
		cmocka_unit_test(what_is_too_long_is_refused),
		cmocka_unit_test(sparse_and_unknown_types_are_refused),
		cmocka_unit_test(global_headers_say_nothing_about_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
