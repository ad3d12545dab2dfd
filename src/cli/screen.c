/* SPDX-License-Identifier: Apache-2.0 */
#include "screen.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/opt.h"

#define COLUMNS_DEFAULT 80
#define ROWS_DEFAULT    24
#define SIDE_MAX        10000

bool screen_is_live(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term != NULL && *term != '\0' && strcmp(term, "dumb") != 0;
}

bool screen_has_colors(int fd)
{
	const char *no_color = getenv("NO_COLOR");

	return screen_is_live(fd) && (no_color == NULL || *no_color == '\0');
}

bool screen_has_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	/* The first one that is set decides, as setlocale(3) has it. */
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);

		if (value != NULL && *value != '\0')
			return strcasestr(value, "utf-8") != NULL ||
			       strcasestr(value, "utf8") != NULL;
	}
	return false;
}

static size_t side(unsigned short told, const char *variable, size_t otherwise)
{
	const char *text = getenv(variable);
	long long value;

	if (told > 0)
		return told;
	if (text != NULL && opt_parse_int(text, 1, SIDE_MAX, &value) == 0)
		return (size_t)value;
	return otherwise;
}

struct screen_size screen_size(int fd)
{
	struct winsize size = {0};

	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		size = (struct winsize){0};
	return (struct screen_size){
		.columns = side(size.ws_col, "COLUMNS", COLUMNS_DEFAULT),
		.rows = side(size.ws_row, "LINES", ROWS_DEFAULT),
	};
}

/* ---- widths ---- */

/* Bytes of the character that begins here; a byte that begins none is one. */
static size_t character(const char *text, size_t *ret_columns)
{
	unsigned char first = (unsigned char)*text;
	size_t length = first < 0xc2 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	for (size_t i = 1; i < length; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			length = 1;
	}
	/* From U+0800 on some are two columns wide; none below is. */
	*ret_columns = length > 2 ? 2 : 1;
	return length;
}

size_t screen_columns(const char *text)
{
	size_t sum = 0, columns;

	while (*text != '\0') {
		text += character(text, &columns);
		sum += columns;
	}
	return sum;
}

size_t screen_fit(const char *text, size_t columns)
{
	size_t at = 0, sum = 0, wide;

	while (text[at] != '\0') {
		size_t length = character(text + at, &wide);

		if (sum + wide > columns)
			break;
		sum += wide;
		at += length;
	}
	return at;
}

/* ---- other programs' lines ---- */

/* Past an escape sequence: CSI up to its final byte, OSC up to its end, else two bytes. */
static size_t escape(const char *at, size_t left)
{
	size_t i = 2;

	if (left < 2)
		return left;
	if (at[1] == '[') {
		while (i < left && (at[i] < '@' || at[i] > '~'))
			i++;
		return MIN(i + 1, left);
	}
	if (at[1] == ']') {
		while (i < left && at[i] != '\a' && at[i] != '\033')
			i++;
		return MIN(i + 1, left);
	}
	return i;
}

char *screen_words(const char *line, size_t length)
{
	char *words = mem_zalloc(length + 1);
	size_t count = 0, step;

	while (length > 0 && (line[length - 1] == '\r' || line[length - 1] == '\n'))
		length--;
	for (size_t i = 0; i < length; i += step) {
		unsigned char c = (unsigned char)line[i];
		bool is_c1 = c == 0xc2 && i + 1 < length && (unsigned char)line[i + 1] < 0xa0;

		step = c == '\033' ? escape(line + i, length - i) : is_c1 ? 2 : 1;
		if (c == '\r')
			count = 0;
		else if (c > ' ' && c != 0x7f && !is_c1)
			words[count++] = (char)c;
		/* One space for any run of what is nothing to see. */
		else if (c != '\033' && count > 0 && words[count - 1] != ' ')
			words[count++] = ' ';
	}
	while (count > 0 && words[count - 1] == ' ')
		count--;
	words[count] = '\0';
	return words;
}

/* ---- the end ---- */

#define ERASE_LINE "\r\033[K"

static const int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
static volatile sig_atomic_t guarded_fd = -1;
static bool guards[ARRAY_SIZE(deadly)];

static void on_signal(int number)
{
	int saved = errno;

	if (guarded_fd >= 0)
		(void)!write(guarded_fd, ERASE_LINE, strlen(ERASE_LINE));
	/* SA_RESETHAND has put the default back; it acts once this handler is left. */
	raise(number);
	errno = saved;
}

void screen_guard(int fd)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction old;

	action.sa_flags |= (int)SA_RESETHAND;
	guarded_fd = fd;
	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++) {
		if (sigaction(deadly[i], NULL, &old) < 0 || old.sa_handler != SIG_DFL)
			continue;
		guards[i] = sigaction(deadly[i], &action, NULL) == 0;
	}
}

void screen_unguard(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++) {
		if (guards[i])
			sigaction(deadly[i], &action, NULL);
		guards[i] = false;
	}
	guarded_fd = -1;
}
