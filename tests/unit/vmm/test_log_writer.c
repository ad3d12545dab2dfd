/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "log_writer.h"
#include "wire/limits.h"

static char directory[] = "/tmp/krun-test-XXXXXX";
static struct log_writer writer;

static int set_up(void **state)
{
	strcpy(directory + sizeof(directory) - 7, "XXXXXX");
	return mkdtemp(directory) == NULL;
}

static int tear_down(void **state)
{
	log_writer_done(&writer);
	return file_remove_tree(directory);
}

static void open_writer(uint64_t bytes_max, unsigned files)
{
	struct err err;

	if (log_writer_open(&writer, directory, bytes_max, files, &err) < 0)
		fail_msg("%s", err.text);
}

static void add(enum log_stream stream, const char *text)
{
	log_writer_add(&writer, stream, text, strlen(text));
}

/* "stream tag text" of each record, a line each; every record must be one. */
static char *read_records(const char *name)
{
	_cleanup_free_ char *path = mem_printf("%s/log/%s", directory, name);
	_cleanup_buf_ struct buf text, out;
	char *line, *rest;

	buf_init(&text, 64 * MIB);
	buf_init(&out, 64 * MIB);
	assert_int_equal(file_read(path, &text), 0);
	assert_true(text.length > 0 && text.data[text.length - 1] == '\n');
	for (line = strtok_r(text.data, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		struct log_record record;

		assert_int_equal(log_record_parse(line, strlen(line), &record), 0);
		assert_int_equal(buf_printf(&out, "%s %c %.*s\n", log_stream_name(record.stream),
					    record.partial ? 'P' : 'F', (int)record.length,
					    record.text),
				 0);
	}
	return buf_take_string(&out);
}

static void assert_records(const char *name, const char *expected)
{
	_cleanup_free_ char *records = read_records(name);

	assert_string_equal(records, expected);
}

static void lines_of_each_stream_are_put_together(void **state)
{
	open_writer(1 * MIB, 3);
	add(LOG_STREAM_STDOUT, "one\ntw");
	add(LOG_STREAM_STDERR, "err");
	add(LOG_STREAM_STDOUT, "o\n\nthree");
	add(LOG_STREAM_STDERR, "or\n");
	log_writer_flush(&writer, true);
	assert_records(LOG_FILE, "stdout F one\nstdout F two\nstdout F \nstderr F error\n"
				 "stdout P three\n");
	assert_true(writer.grown);
}

static void a_line_that_waits_too_long_is_written_in_parts(void **state)
{
	open_writer(1 * MIB, 3);
	add(LOG_STREAM_STDOUT, "prompt> ");
	assert_true(writer.flush_at_ms < INT64_MAX);
	log_writer_flush(&writer, false);
	assert_int_equal(writer.file_bytes, 0);
	writer.flush_at_ms = clock_monotonic_ms();
	log_writer_flush(&writer, false);
	assert_true(writer.flush_at_ms == INT64_MAX);
	add(LOG_STREAM_STDOUT, "answer\n");
	assert_records(LOG_FILE, "stdout P prompt> \nstdout F answer\n");
}

static void a_line_longer_than_a_record_is_cut(void **state)
{
	size_t length = 2 * LOG_TEXT_BYTES_MAX + 10;
	_cleanup_free_ char *line = mem_zalloc(length + 2), *records = NULL;

	open_writer(1 * MIB, 3);
	memset(line, 'x', length);
	line[length] = '\n';
	/* In two pieces, so that the first one waits as the beginning of a line. */
	log_writer_add(&writer, LOG_STREAM_STDOUT, line, 100);
	log_writer_add(&writer, LOG_STREAM_STDOUT, line + 100, length - 100 + 1);
	records = read_records(LOG_FILE);
	/* What waited, a full record, the rest. */
	assert_int_equal(strlen(records), length + 3 * strlen("stdout P \n"));
	assert_ptr_equal(strstr(records, "\nstdout P "), records + strlen("stdout P ") + 100);
	assert_ptr_equal(strstr(records, "\nstdout F "),
			 records + 2 * strlen("stdout P \n") + 100 + LOG_TEXT_BYTES_MAX - 1);
}

static void a_console_line_loses_its_carriage_return(void **state)
{
	open_writer(1 * MIB, 3);
	add(LOG_STREAM_CONSOLE, "panic\r\n");
	add(LOG_STREAM_STDOUT, "tty\r\n");
	assert_records(LOG_FILE, "console F panic\nstdout F tty\r\n");
}

static void files_are_rotated_by_size(void **state)
{
	_cleanup_free_ char *line = mem_zalloc(10001), *third = NULL;

	open_writer(65536, 3);
	memset(line, 'x', 9998);
	for (int i = 0; i < 40; i++) {
		snprintf(line, 10001, "%09998d\n", i);
		add(LOG_STREAM_STDOUT, line);
	}
	third = mem_printf("%s/log/" LOG_FILE ".3", directory);
	assert_int_equal(access(third, F_OK), -1);
	for (int number = 0; number < 3; number++) {
		_cleanup_free_ char *name =
			number > 0 ? mem_printf(LOG_FILE ".%d", number) : mem_strdup(LOG_FILE);
		_cleanup_free_ char *records = read_records(name);

		assert_true(strlen(records) <= 65536);
		assert_true(strlen(records) > 0);
	}
}

static void a_single_file_starts_anew(void **state)
{
	_cleanup_free_ char *second = NULL;

	open_writer(LOG_RECORD_BYTES_MAX, 1);
	for (int i = 0; i < 1000; i++)
		add(LOG_STREAM_STDOUT, "0123456789012345678901234567890123456789\n");
	second = mem_printf("%s/log/" LOG_FILE ".1", directory);
	assert_int_equal(access(second, F_OK), -1);
	assert_true(writer.file_bytes <= LOG_RECORD_BYTES_MAX);
}

static void the_next_start_goes_on_behind_half_a_record(void **state)
{
	_cleanup_free_ char *path = mem_printf("%s/log/" LOG_FILE, directory);
	FILE *file;

	open_writer(1 * MIB, 3);
	log_writer_done(&writer);
	file = fopen(path, "w");
	fputs("2026-11-22T20:11:21.123456789Z stdout F hal", file);
	fclose(file);
	open_writer(1 * MIB, 3);
	add(LOG_STREAM_STDOUT, "whole\n");
	assert_records(LOG_FILE, "stdout F hal\nstdout F whole\n");
}

/* A limit on the size of files stands for a full disk: write(2) is short, then fails. */
static void what_a_full_disk_loses_is_counted_and_told(void **state)
{
	struct rlimit old, small;
	_cleanup_free_ char *records = NULL;

	open_writer(1 * MIB, 3);
	add(LOG_STREAM_STDOUT, "before\n");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = writer.file_bytes + 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	add(LOG_STREAM_STDOUT, "lost one\nlost two\n");
	add(LOG_STREAM_STDOUT, "lost three\n");
	assert_int_equal(writer.lost_records, 3);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	add(LOG_STREAM_STDOUT, "after\n");
	assert_int_equal(writer.lost_records, 0);
	records = read_records(LOG_FILE);
	assert_non_null(strstr(records, "stdout F before\nconsole F krun-vmm: 3 log records were "
					"lost: "));
	assert_non_null(strstr(records, "stdout F after\n"));
	assert_null(strstr(records, "stdout F lost"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(lines_of_each_stream_are_put_together),
		CASE(a_line_that_waits_too_long_is_written_in_parts),
		CASE(a_line_longer_than_a_record_is_cut),
		CASE(a_console_line_loses_its_carriage_return),
		CASE(files_are_rotated_by_size),
		CASE(a_single_file_starts_anew),
		CASE(the_next_start_goes_on_behind_half_a_record),
		CASE(what_a_full_disk_loses_is_counted_and_told),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
