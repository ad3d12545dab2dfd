/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli.h"
#include "screen.h"
#include "table.h"

#define LINE_BYTES_MAX 4096
/* Who waits for less than that need not be told how long. */
#define ELAPSED_FROM_MS 1000
#define ERASE_LINE      "\r\033[K"

static const char *const frames[] = {"\u280b", "\u2819", "\u2839", "\u2838", "\u283c",
				     "\u2834", "\u2826", "\u2827", "\u2807", "\u280f"};
static const char *const plain_frames[] = {"-", "\\", "|", "/"};

/* The one whose line stands on the screen. */
static struct progress *live;

enum paint {
	PAINT_NONE = 0,
	PAINT_DIM = 2,
	PAINT_RED = 31,
	PAINT_GREEN = 32,
	PAINT_CYAN = 36,
};

void progress_init(struct progress *progress)
{
	*progress = (struct progress){
		.is_live = screen_is_live(STDERR_FILENO),
		.has_colors = screen_has_colors(STDERR_FILENO),
		.has_utf8 = screen_has_utf8(),
	};
}

char *progress_time(int64_t ms, bool tenths)
{
	long long seconds = ms / 1000;

	if (seconds >= 60)
		return mem_printf("%lld min %02lld s", seconds / 60, seconds % 60);
	if (tenths)
		return mem_printf("%lld.%lld s", seconds, (long long)ms / 100 % 10);
	return mem_printf("%lld s", seconds);
}

/* ---- the line ---- */

/* A line as it grows: text up to the columns that are left, colours for nothing. */
struct line {
	const struct progress *progress;
	struct buf text;
	size_t columns; /* left */
};

static void line_init(struct line *line, const struct progress *progress)
{
	size_t columns = screen_size(STDERR_FILENO).columns;

	/* The last column stays free: a cursor behind it may have wrapped already. */
	*line = (struct line){.progress = progress, .columns = columns > 0 ? columns - 1 : 0};
	buf_init(&line->text, LINE_BYTES_MAX);
	(void)!buf_append_string(&line->text, ERASE_LINE);
}

static void line_add(struct line *line, enum paint paint, const char *text)
{
	size_t length = screen_fit(text, line->columns);

	line->columns -= MIN(screen_columns(text), line->columns);
	if (paint != PAINT_NONE && line->progress->has_colors)
		(void)!buf_printf(&line->text, "\033[%dm%.*s\033[0m", (int)paint, (int)length,
				  text);
	else
		(void)!buf_append(&line->text, text, length);
}

static void line_write(struct line *line)
{
	(void)!fd_write_all(STDERR_FILENO, line->text.data, line->text.length);
	buf_done(&line->text);
}

static void line_add_elapsed(struct line *line, int64_t ms, bool tenths)
{
	_cleanup_free_ char *time = progress_time(ms, tenths);
	_cleanup_free_ char *text = mem_printf("  %s", time);

	/* Half a number is a wrong one. */
	if (screen_columns(text) <= line->columns)
		line_add(line, PAINT_DIM, text);
}

static const char *mark(const struct progress *progress)
{
	if (progress->is_held)
		return progress->has_utf8 ? "\u2022" : "*";
	return progress->has_utf8 ? frames[progress->frame % ARRAY_SIZE(frames)]
				  : plain_frames[progress->frame % ARRAY_SIZE(plain_frames)];
}

static void draw(struct progress *progress)
{
	int64_t now = clock_monotonic_ms(), elapsed = now - progress->begun_ms;
	struct line line;

	line_init(&line, progress);
	line_add(&line, PAINT_CYAN, mark(progress));
	line_add(&line, PAINT_NONE, " ");
	line_add(&line, PAINT_NONE, progress->title);
	if (elapsed >= ELAPSED_FROM_MS)
		line_add_elapsed(&line, elapsed, false);
	if (progress->detail != NULL) {
		line_add(&line, PAINT_NONE, "  ");
		line_add(&line, PAINT_DIM, progress->detail);
	}
	line_write(&line);
	progress->drawn_ms = now;
}

/* ---- steps ---- */

static char *format(const char *fmt, va_list ap)
{
	char text[ERR_TEXT_BYTES_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);
	return table_clean(text);
}

static void begin(struct progress *progress, char *title)
{
	progress_drop(progress);
	progress->title = title;
	progress->begun_ms = clock_monotonic_ms();
	progress->frame = 0;
	if (!progress->is_live)
		return;
	screen_guard(STDERR_FILENO);
	live = progress;
	draw(progress);
}

void progress_begin(struct progress *progress, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	begin(progress, format(fmt, ap));
	va_end(ap);
	progress->is_told = true;
	if (!progress->is_live)
		cli_say("%s", progress->title);
}

void progress_begin_live(struct progress *progress, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	begin(progress, format(fmt, ap));
	va_end(ap);
	progress->is_told = false;
}

void progress_detail(struct progress *progress, const char *fmt, ...)
{
	va_list ap;

	if (!progress->is_live || progress->title == NULL)
		return;
	va_start(ap, fmt);
	free(progress->detail);
	progress->detail = format(fmt, ap);
	va_end(ap);
	progress_tick(progress);
}

void progress_tick(struct progress *progress)
{
	if (!progress->is_live || progress->title == NULL || progress->is_held)
		return;
	if (clock_monotonic_ms() - progress->drawn_ms < PROGRESS_TICK_MS)
		return;
	progress->frame++;
	draw(progress);
}

void progress_hold(struct progress *progress)
{
	if (!progress->is_live || progress->title == NULL || progress->is_held)
		return;
	free(take_ptr(progress->detail));
	progress->is_held = true;
	draw(progress);
	screen_unguard();
	live = NULL;
	(void)!fd_write_all(STDERR_FILENO, "\n", 1);
}

void progress_make_room(void)
{
	if (live == NULL)
		return;
	(void)!fd_write_all(STDERR_FILENO, ERASE_LINE, strlen(ERASE_LINE));
	live->drawn_ms = 0;
}

static void finish(struct progress *progress)
{
	if (live == progress) {
		screen_unguard();
		live = NULL;
	}
	free(take_ptr(progress->title));
	free(take_ptr(progress->detail));
	progress->is_held = false;
}

void progress_drop(struct progress *progress)
{
	if (progress->title != NULL && progress->is_live && !progress->is_held)
		(void)!fd_write_all(STDERR_FILENO, ERASE_LINE, strlen(ERASE_LINE));
	finish(progress);
}

/* What stays of a step on a live screen. */
static void settle(struct progress *progress, bool good, const char *text)
{
	const char *sign = progress->has_utf8 ? (good ? "\u2713" : "\u2717") : (good ? "+" : "x");
	struct line line;

	line_init(&line, progress);
	line_add(&line, good ? PAINT_GREEN : PAINT_RED, sign);
	line_add(&line, PAINT_NONE, " ");
	line_add(&line, PAINT_NONE, text);
	line_add_elapsed(&line, clock_monotonic_ms() - progress->begun_ms, true);
	(void)!buf_append_string(&line.text, "\n");
	line_write(&line);
}

void progress_done(struct progress *progress, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL, *time = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = format(fmt, ap);
	va_end(ap);
	if (progress->is_live)
		settle(progress, true, text);
	time = progress_time(clock_monotonic_ms() - progress->begun_ms, true);
	if (!progress->is_live && progress->is_told)
		cli_say("%s in %s", text, time);
	finish(progress);
}

void progress_fail(struct progress *progress)
{
	if (progress->title != NULL && progress->is_live)
		settle(progress, false, progress->title);
	finish(progress);
}

void progress_free(struct progress *progress)
{
	progress_drop(progress);
}

/* ---- calls ---- */

static void beat(void *user)
{
	progress_tick(user);
}

int progress_do(struct progress *progress, struct client *client,
		const struct client_request *request, struct buf *ret_answer, struct err *err)
{
	const struct client_pulse pulse = {
		.interval_ms = progress->is_live ? PROGRESS_TICK_MS : 1000,
		.beat = beat,
		.user = progress,
	};
	struct client_call *call;
	int r;

	r = client_begin(client, request, &call, err);
	return r < 0 ? r : client_finish(call, &pulse, ret_answer, err);
}

int progress_json(struct progress *progress, struct client *client,
		  const struct client_request *request, json_t **ret_answer, struct err *err)
{
	_cleanup_buf_ struct buf answer = {0};
	int r;

	r = progress_do(progress, client, request, &answer, err);
	if (r < 0)
		return r;
	r = json_parse(answer.data != NULL ? answer.data : "", answer.length, ret_answer, err);
	return r < 0 ? err_prefix(err, "the answer of %s", client_name(client)) : 0;
}
