/* SPDX-License-Identifier: Apache-2.0 */
#include "tail.h"

#include <string.h>

void tail_add(struct tail *tail, const char *data, size_t length)
{
	size_t keep;

	if (length >= TAIL_BYTES) {
		memcpy(tail->data, data + length - TAIL_BYTES, TAIL_BYTES);
		tail->length = TAIL_BYTES;
		return;
	}
	keep = MIN(tail->length, TAIL_BYTES - length);
	memmove(tail->data, tail->data + tail->length - keep, keep);
	memcpy(tail->data + keep, data, length);
	tail->length = keep + length;
}

static bool is_text(char c)
{
	return (unsigned char)c >= ' ' && c != '\x7f';
}

/* The line that ends before `end`: where its text begins, and its length without what frames it. */
static size_t line_before(const struct tail *tail, size_t end, size_t *ret_length)
{
	size_t begin = end;

	while (begin > 0 && tail->data[begin - 1] != '\n')
		begin--;
	*ret_length = end - begin;
	return begin;
}

static bool has_text(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (is_text(text[i]) && text[i] != ' ')
			return true;
	}
	return false;
}

static void write_text(const char *text, size_t length, struct buf *out)
{
	for (size_t i = 0; i < length; i++) {
		if (is_text(text[i]) && buf_append_char(out, text[i]) < 0)
			return;
	}
}

bool tail_write(const struct tail *tail, unsigned lines, struct buf *out)
{
	size_t begin = tail->length, end = tail->length, length;
	bool written = false;

	/* Back to the first line that is wanted. */
	for (size_t at = tail->length; lines > 0;) {
		size_t line = line_before(tail, at, &length);

		if (has_text(tail->data + line, length)) {
			begin = line;
			lines--;
		}
		if (line == 0)
			break;
		at = line - 1;
	}
	while (begin < end) {
		const char *newline = memchr(tail->data + begin, '\n', end - begin);

		length = newline != NULL ? (size_t)(newline - tail->data) - begin : end - begin;
		if (has_text(tail->data + begin, length)) {
			if (written && buf_append_string(out, " | ") < 0)
				break;
			write_text(tail->data + begin, length, out);
			written = true;
		}
		begin += length + 1;
	}
	return written;
}

bool tail_contains(const struct tail *tail, const char *text)
{
	return memmem(tail->data, tail->length, text, strlen(text)) != NULL;
}
