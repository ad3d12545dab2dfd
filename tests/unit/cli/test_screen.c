/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/mem.h"
#include "lines.h"
#include "screen.h"

/* ---- what a screen is ---- */

static void a_pipe_is_no_screen(void **state)
{
	int fds[2];

	setenv("TERM", "xterm", 1);
	assert_int_equal(pipe(fds), 0);
	assert_false(screen_is_live(fds[1]));
	assert_false(screen_has_colors(fds[1]));
	close(fds[0]);
	close(fds[1]);
}

static void a_terminal_is_live_unless_it_is_dumb(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), fd;

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	fd = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(fd >= 0);
	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	assert_true(screen_is_live(fd));
	assert_true(screen_has_colors(fd));
	setenv("NO_COLOR", "1", 1);
	assert_true(screen_is_live(fd));
	assert_false(screen_has_colors(fd));
	/* An empty one does not count. */
	setenv("NO_COLOR", "", 1);
	assert_true(screen_has_colors(fd));
	setenv("TERM", "dumb", 1);
	assert_false(screen_is_live(fd));
	assert_false(screen_has_colors(fd));
	unsetenv("TERM");
	assert_false(screen_is_live(fd));
	close(fd);
	close(master);
}

static void the_first_locale_that_is_set_decides(void **state)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	assert_false(screen_has_utf8());
	setenv("LANG", "de_DE.UTF-8", 1);
	assert_true(screen_has_utf8());
	setenv("LC_ALL", "C", 1);
	assert_false(screen_has_utf8());
	setenv("LC_ALL", "C.utf8", 1);
	assert_true(screen_has_utf8());
}

/* ---- widths ---- */

static void nothing_is_wider_than_it_is_said_to_be(void **state)
{
	assert_int_equal(screen_columns(""), 0);
	assert_int_equal(screen_columns("abc"), 3);
	assert_int_equal(screen_columns("gr\xc3\xbc\xc3\x9f"), 4);
	/* Two columns each. */
	assert_int_equal(screen_columns("\xe6\x97\xa5\xe6\x9c\xac"), 4);
	assert_int_equal(screen_columns("\xf0\x9f\x9a\x80"), 2);
	/* No characters: one for each byte. */
	assert_int_equal(screen_columns("\xff\xe6\x97"), 3);
}

static void characters_are_not_cut(void **state)
{
	assert_int_equal(screen_fit("abc", 2), 2);
	assert_int_equal(screen_fit("abc", 9), 3);
	assert_int_equal(screen_fit("a\xc3\xbc"
				    "b",
				    2),
			 3);
	assert_int_equal(screen_fit("a\xe6\x97\xa5", 2), 1);
	assert_int_equal(screen_fit("a\xe6\x97\xa5", 3), 4);
	assert_int_equal(screen_fit("abc", 0), 0);
}

static void other_programs_lines_are_words(void **state)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{"", ""},
		{"STEP 1/3: FROM scratch\n", "STEP 1/3: FROM scratch"},
		{"  a\t\tb  \r\n", "a b"},
		{"10%\r50%\r100%", "100%"},
		{"\033[1;32mgreen\033[0m and \033]0;title\apl\033(Bain", "green and plBain"},
		{"bell\a and \x7f end", "bell and end"},
		{"c1 \xc2\x9b"
		 "31m \xc3\xbc",
		 "c1 31m \xc3\xbc"},
		{"\033", ""},
		{"\033[", ""},
		{"a\033]0;no end", "a"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *words = screen_words(cases[i].line, strlen(cases[i].line));

		assert_string_equal(words, cases[i].words);
	}
}

/* ---- answers line by line ---- */

struct taken {
	json_int_t sum;
	size_t count;
};

static int take_number(void *user, json_t *object, struct err *err)
{
	struct taken *taken = user;

	taken->count++;
	taken->sum += json_integer_value(json_object_get(object, "n"));
	return taken->sum > 100 ? err_set(err, ERANGE, "too much") : 0;
}

static void lines_may_come_in_any_parts(void **state)
{
	static const char text[] = "{\"n\": 1}\n\n{\"n\": 20}\n{\"n\": 3}\n{\"n\": 4";

	for (size_t part = 1; part < sizeof(text); part++) {
		_cleanup_lines_ struct lines lines;
		struct taken taken = {0};

		lines_init(&lines, take_number, &taken);
		for (size_t at = 0; at < sizeof(text) - 1; at += part)
			assert_int_equal(lines_sink(&lines, text + at,
						    MIN(part, sizeof(text) - 1 - at)),
					 0);
		assert_int_equal(taken.count, 3);
		assert_int_equal(taken.sum, 24);
		assert_int_equal(lines_outcome(&lines, 0, NULL), 0);
	}
}

static void a_bad_line_breaks_the_answer_off(void **state)
{
	static const char *const bad[] = {"no json\n", "{\"n\": 1,}\n", "{\"n\": 101}\n"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_lines_ struct lines lines;
		struct taken taken = {0};
		struct err err = {0};
		int r;

		lines_init(&lines, take_number, &taken);
		r = lines_sink(&lines, bad[i], strlen(bad[i]));
		assert_true(r < 0);
		/* The client only knows that the transfer was broken off. */
		assert_int_equal(lines_outcome(&lines, -ECONNRESET, &err), r);
		assert_true(err.text[0] != '\0');
	}
}

static void a_line_without_an_end_is_bounded(void **state)
{
	_cleanup_lines_ struct lines lines;
	char part[4096];
	size_t given = 0;
	int r = 0;

	memset(part, ' ', sizeof(part));
	lines_init(&lines, take_number, NULL);
	while (r >= 0 && given < 64 * 1024 * 1024) {
		r = lines_sink(&lines, part, sizeof(part));
		given += sizeof(part);
	}
	assert_int_equal(r, -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pipe_is_no_screen),
		cmocka_unit_test(a_terminal_is_live_unless_it_is_dumb),
		cmocka_unit_test(the_first_locale_that_is_set_decides),
		cmocka_unit_test(nothing_is_wider_than_it_is_said_to_be),
		cmocka_unit_test(characters_are_not_cut),
		cmocka_unit_test(other_programs_lines_are_words),
		cmocka_unit_test(lines_may_come_in_any_parts),
		cmocka_unit_test(a_bad_line_breaks_the_answer_off),
		cmocka_unit_test(a_line_without_an_end_is_bounded),
	};

	return cmocka_run_group_tests_name("screen", tests, NULL, NULL);
}
