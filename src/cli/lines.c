/* SPDX-License-Identifier: Apache-2.0 */
#include "lines.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"

/* The last line of an import has the image's configuration in it. */
#define LINE_BYTES_MAX (4 * 1024 * 1024)

void lines_init(struct lines *lines, int (*take)(void *user, json_t *object, struct err *err),
		void *user)
{
	*lines = (struct lines){.take = take, .user = user};
	buf_init(&lines->part, LINE_BYTES_MAX);
}

void lines_done(struct lines *lines)
{
	buf_done(&lines->part);
}

static int take_line(struct lines *lines)
{
	_cleanup_json_ json_t *object = NULL;
	int r;

	if (lines->part.length == 0)
		return 0;
	r = json_parse(lines->part.data, lines->part.length, &object, &lines->err);
	if (r < 0)
		return err_prefix(&lines->err, "a line of the answer");
	return lines->take(lines->user, object, &lines->err);
}

int lines_sink(void *user, const char *data, size_t length)
{
	struct lines *lines = user;
	int r;

	while (length > 0) {
		const char *newline = memchr(data, '\n', length);
		size_t part = newline != NULL ? (size_t)(newline - data) : length;

		r = buf_append(&lines->part, data, part);
		if (r < 0)
			return err_set(&lines->err, ENOBUFS, "a line of the answer is too long");
		if (newline == NULL)
			return 0;
		r = take_line(lines);
		if (r < 0)
			return r;
		buf_clear(&lines->part);
		data += part + 1;
		length -= part + 1;
	}
	return 0;
}

int lines_outcome(const struct lines *lines, int r, struct err *err)
{
	if (r < 0 && lines->err.errnum != 0)
		return err_set(err, lines->err.errnum, "%s", lines->err.text);
	return r;
}
