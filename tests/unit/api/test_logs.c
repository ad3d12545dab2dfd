/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a log that is long, written just now, rotated just now, or torn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "logs.h"

static char directory[] = "/tmp/test-api-XXXXXX";
static char slice[LOGS_SLICE_BYTES];

static int set_up(void **state)
{
	strcpy(directory, "/tmp/test-api-XXXXXX");
	return mkdtemp(directory) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	return file_remove_tree(directory);
}

/* Appends `count` records whose text is their number; one second lies between two. */
static void write_records(int index, int first, int count)
{
	char *path = index == 0 ? mem_printf("%s/machine.log", directory)
				: mem_printf("%s/machine.log.%d", directory, index);
	FILE *file = fopen(path, "a");

	assert_non_null(file);
	for (int i = first; i < first + count; i++) {
		char head[64];

		log_record_head((int64_t)i * CLOCK_NS_PER_S,
				i % 2 ? LOG_STREAM_STDOUT : LOG_STREAM_STDERR, false, head);
		fprintf(file, "%s%d\n", head, i);
	}
	fclose(file);
	free(path);
}

static void write_text(const char *text)
{
	char *path = mem_printf("%s/machine.log", directory);
	FILE *file = fopen(path, "a");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	free(path);
}

static void rotate(void)
{
	for (int i = 2; i >= 0; i--) {
		char *from = i == 0 ? mem_printf("%s/machine.log", directory)
				    : mem_printf("%s/machine.log.%d", directory, i);
		char *to = mem_printf("%s/machine.log.%d", directory, i + 1);

		rename(from, to);
		free(from);
		free(to);
	}
}

static void collect(void *user, const struct log_record *record)
{
	assert_int_equal(buf_append(user, record->text, record->length), 0);
	assert_int_equal(buf_append_char(user, ' '), 0);
}

/* Steps until there is nothing more; the texts, separated by spaces. */
static char *read_on(struct logs_reader *reader, int outcome)
{
	struct buf out;
	int r;

	buf_init(&out, 8 << 20);
	do {
		r = logs_step(reader, slice, collect, &out);
	} while (r == LOGS_MORE);
	assert_int_equal(r, outcome);
	return buf_take_string(&out);
}

static void assert_reads(struct logs_reader *reader, const char *expected)
{
	char *text = read_on(reader, LOGS_END);

	assert_string_equal(text, expected);
	free(text);
}

static const struct logs_filter everything = {.streams = LOGS_STREAM_ALL};

static void files_are_read_oldest_first(void **state)
{
	struct logs_reader reader;

	write_records(2, 1, 2);
	write_records(1, 3, 2);
	write_records(0, 5, 2);
	logs_open(&reader, directory, &everything, LOGS_TAIL_WHOLE);
	assert_reads(&reader, "1 2 3 4 5 6 ");
	write_records(0, 7, 1);
	assert_reads(&reader, "7 ");
	logs_close(&reader);
}

static void a_rotation_is_followed(void **state)
{
	struct logs_reader reader;

	write_records(0, 1, 2);
	logs_open(&reader, directory, &everything, LOGS_TAIL_WHOLE);
	assert_reads(&reader, "1 2 ");
	write_records(0, 3, 1);
	rotate();
	write_records(0, 4, 1);
	rotate();
	write_records(0, 5, 1);
	assert_reads(&reader, "3 4 5 ");
	rotate();
	/* Between the rename and the first line of the new file. */
	assert_reads(&reader, "");
	write_records(0, 6, 1);
	assert_reads(&reader, "6 ");
	logs_close(&reader);
}

static void a_file_that_was_rotated_away_is_gone(void **state)
{
	struct logs_reader reader;
	char *oldest;

	write_records(0, 1, 1);
	logs_open(&reader, directory, &everything, LOGS_TAIL_WHOLE);
	assert_reads(&reader, "1 ");
	rotate();
	write_records(0, 2, 1);
	rotate();
	write_records(0, 3, 1);
	oldest = mem_printf("%s/machine.log.2", directory);
	unlink(oldest);
	free(oldest);
	assert_reads(&reader, "2 3 ");
	logs_close(&reader);
}

static void a_log_that_is_not_there_yet(void **state)
{
	struct logs_reader reader;

	logs_open(&reader, directory, &everything, 5);
	assert_reads(&reader, "");
	write_records(0, 1, 1);
	assert_reads(&reader, "1 ");
	logs_close(&reader);
}

static void tails_count_lines_across_files(void **state)
{
	static const struct {
		long long tail;
		const char *expected;
	} cases[] = {{0, ""},       {1, "6 "},           {2, "5 6 "},
		     {3, "4 5 6 "}, {6, "1 2 3 4 5 6 "}, {99, "1 2 3 4 5 6 "}};

	write_records(2, 1, 2);
	write_records(1, 3, 2);
	write_records(0, 5, 2);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct logs_reader reader;

		logs_open(&reader, directory, &everything, cases[i].tail);
		assert_reads(&reader, cases[i].expected);
		logs_close(&reader);
	}
}

static void tails_count_only_what_is_wanted(void **state)
{
	const struct logs_filter out = {.streams = 1U << LOG_STREAM_STDOUT};
	struct logs_reader reader;

	write_records(1, 1, 4);
	write_records(0, 5, 4);
	logs_open(&reader, directory, &out, 3);
	assert_reads(&reader, "3 5 7 ");
	logs_close(&reader);
}

static void a_last_line_without_its_end_is_a_line_of_the_tail(void **state)
{
	struct logs_reader reader;

	write_text("2026-01-01T00:00:00.000000000Z stdout F one\n"
		   "2026-01-01T00:00:01.000000000Z stdout P half\n"
		   "2026-01-01T00:00:02.000000000Z stdout F two\n"
		   "2026-01-01T00:00:03.000000000Z stdout P last\n");
	logs_open(&reader, directory, &everything, 1);
	assert_reads(&reader, "last ");
	logs_close(&reader);
	logs_open(&reader, directory, &everything, 2);
	assert_reads(&reader, "half two last ");
	logs_close(&reader);
}

static void tails_of_large_files(void **state)
{
	struct logs_reader reader;
	char *text;

	write_records(1, 1, 20000);
	write_records(0, 20001, 20000);
	logs_open(&reader, directory, &everything, 30000);
	text = read_on(&reader, LOGS_END);
	assert_memory_equal(text, "10001 10002 ", 12);
	assert_string_equal(text + strlen(text) - 12, "39999 40000 ");
	free(text);
	logs_close(&reader);
}

static void times_bound_what_is_given(void **state)
{
	const struct logs_filter filter = {.streams = LOGS_STREAM_ALL,
					   .since_ns = 3 * CLOCK_NS_PER_S,
					   .until_ns = 5 * CLOCK_NS_PER_S};
	struct logs_reader reader;
	char *text;

	write_records(1, 1, 4);
	write_records(0, 5, 4);
	logs_open(&reader, directory, &filter, LOGS_TAIL_WHOLE);
	text = read_on(&reader, LOGS_PAST);
	assert_string_equal(text, "3 4 5 ");
	free(text);
	logs_close(&reader);
}

static void torn_and_foreign_lines_are_skipped(void **state)
{
	struct logs_reader reader;

	write_records(0, 1, 1);
	write_text("nonsense\n\n2026-11-22T20:11:21.000000000Z stdout X bad tag\n");
	write_records(0, 2, 1);
	write_text("2026-11-22T20:11:21.0000000");
	logs_open(&reader, directory, &everything, LOGS_TAIL_WHOLE);
	assert_reads(&reader, "1 2 ");
	/* The rest of the line comes. */
	write_text("00Z stdout F rest\n");
	assert_reads(&reader, "rest ");
	logs_close(&reader);
	logs_open(&reader, directory, &everything, 2);
	assert_reads(&reader, "2 rest ");
	logs_close(&reader);
}

static void a_line_without_end_does_not_hold_it_up(void **state)
{
	char *long_line = mem_zalloc(200001);
	struct logs_reader reader;

	memset(long_line, 'x', 200000);
	write_records(0, 1, 1);
	write_text(long_line);
	write_text("\n");
	write_records(0, 2, 1);
	logs_open(&reader, directory, &everything, LOGS_TAIL_WHOLE);
	assert_reads(&reader, "1 2 ");
	logs_close(&reader);
	logs_open(&reader, directory, &everything, 2);
	assert_reads(&reader, "1 2 ");
	logs_close(&reader);
	free(long_line);
}

int main(void)
{
#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		LOG_TEST(files_are_read_oldest_first),
		LOG_TEST(a_rotation_is_followed),
		LOG_TEST(a_file_that_was_rotated_away_is_gone),
		LOG_TEST(a_log_that_is_not_there_yet),
		LOG_TEST(tails_count_lines_across_files),
		LOG_TEST(tails_count_only_what_is_wanted),
		LOG_TEST(a_last_line_without_its_end_is_a_line_of_the_tail),
		LOG_TEST(tails_of_large_files),
		LOG_TEST(times_bound_what_is_given),
		LOG_TEST(torn_and_foreign_lines_are_skipped),
		LOG_TEST(a_line_without_end_does_not_hold_it_up),
	};

	return cmocka_run_group_tests_name("api-logs", tests, NULL, NULL);
}
