/* SPDX-License-Identifier: Apache-2.0 */
#include "jsonw.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"

void jsonw_init(struct jsonw *w, struct buf *out)
{
	*w = (struct jsonw){.out = out};
}

static void put(struct jsonw *w, const void *data, size_t length)
{
	if (w->error == 0)
		w->error = buf_append(w->out, data, length);
}

static void put_text(struct jsonw *w, const char *text)
{
	put(w, text, strlen(text));
}

/*
 * Length of the well-formed UTF-8 sequence at `p` (RFC 3629: no overlong forms, no surrogates), 0
 * where there is none.
 */
static size_t utf8_length(const uint8_t *p, size_t left)
{
	size_t length = p[0] < 0x80   ? 1
			: p[0] < 0xc2 ? 0
			: p[0] < 0xe0 ? 2
			: p[0] < 0xf0 ? 3
			: p[0] < 0xf5 ? 4
				      : 0;

	if (length == 0 || length > left)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return length;
}

static void put_escaped(struct jsonw *w, uint8_t c)
{
	static const char short_escapes[0x20] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
	};
	char text[8];

	if (c < 0x20 && short_escapes[c] != 0)
		snprintf(text, sizeof(text), "\\%c", short_escapes[c]);
	else if (c < 0x20 || c == 0x7f)
		snprintf(text, sizeof(text), "\\u%04x", (unsigned)c);
	else
		snprintf(text, sizeof(text), "\\%c", c);
	put_text(w, text);
}

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_string(struct jsonw *w, const void *data, size_t length)
{
	const uint8_t *p = data, *end;

	if (length == 0) {
		put(w, "\"\"", 2); /* an empty buffer has no data to point at */
		return;
	}
	end = p + length;
	put(w, "\"", 1);
	while (p < end && w->error == 0) {
		const uint8_t *run = p;

		while (p < end && is_plain(*p))
			p++;
		put(w, run, (size_t)(p - run));
		if (p == end)
			break;
		if (*p < 0x80) {
			put_escaped(w, *p++);
			continue;
		}
		size_t n = utf8_length(p, (size_t)(end - p));

		if (n == 0)
			put_text(w, "\\ufffd");
		else
			put(w, p, n);
		p += MAX(n, (size_t)1);
	}
	put(w, "\"", 1);
}

/* Comma and name before a value. */
static void begin_value(struct jsonw *w, const char *name)
{
	if (w->comma)
		put(w, ",", 1);
	w->comma = true;
	if (name != NULL) {
		put_string(w, name, strlen(name));
		put(w, ":", 1);
	}
}

static void open_value(struct jsonw *w, const char *name, const char *bracket)
{
	begin_value(w, name);
	put_text(w, bracket);
	w->comma = false;
}

static void close_value(struct jsonw *w, const char *bracket)
{
	put_text(w, bracket);
	w->comma = true;
}

void jsonw_object_begin(struct jsonw *w, const char *name)
{
	open_value(w, name, "{");
}

void jsonw_object_end(struct jsonw *w)
{
	close_value(w, "}");
}

void jsonw_array_begin(struct jsonw *w, const char *name)
{
	open_value(w, name, "[");
}

void jsonw_array_end(struct jsonw *w)
{
	close_value(w, "]");
}

void jsonw_string_bytes(struct jsonw *w, const char *name, const void *data, size_t length)
{
	begin_value(w, name);
	put_string(w, data, length);
}

void jsonw_string(struct jsonw *w, const char *name, const char *value)
{
	if (value == NULL)
		jsonw_null(w, name);
	else
		jsonw_string_bytes(w, name, value, strlen(value));
}

void jsonw_int(struct jsonw *w, const char *name, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	begin_value(w, name);
	put_text(w, text);
}

void jsonw_bool(struct jsonw *w, const char *name, bool value)
{
	begin_value(w, name);
	put_text(w, value ? "true" : "false");
}

void jsonw_null(struct jsonw *w, const char *name)
{
	begin_value(w, name);
	put_text(w, "null");
}

void jsonw_time(struct jsonw *w, const char *name, int64_t realtime_ns)
{
	char text[CLOCK_RFC3339_BYTES];

	if (realtime_ns == 0) {
		jsonw_null(w, name);
		return;
	}
	clock_format_rfc3339(realtime_ns, text);
	jsonw_string(w, name, text);
}

void jsonw_strings(struct jsonw *w, const char *name, char *const *strv)
{
	jsonw_array_begin(w, name);
	for (; strv != NULL && *strv != NULL; strv++)
		jsonw_string(w, NULL, *strv);
	jsonw_array_end(w);
}

void jsonw_map(struct jsonw *w, const char *name, char *const *strv)
{
	jsonw_object_begin(w, name);
	for (; strv != NULL && *strv != NULL; strv++) {
		size_t key_bytes = strcspn(*strv, "=");
		const char *value = (*strv)[key_bytes] == '=' ? *strv + key_bytes + 1 : "";

		if (w->comma)
			put(w, ",", 1);
		put_string(w, *strv, key_bytes);
		put(w, ":", 1);
		put_string(w, value, strlen(value));
		w->comma = true;
	}
	jsonw_object_end(w);
}

void jsonw_raw(struct jsonw *w, const char *name, const char *json, size_t length)
{
	begin_value(w, name);
	put(w, json, length);
}

int jsonw_finish(struct jsonw *w)
{
	return w->error;
}
