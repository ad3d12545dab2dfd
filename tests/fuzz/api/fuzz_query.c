/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a target. */
#include "query.c"

#include <assert.h>
#include <stdlib.h>

struct target {
	bool flag;
	long long number, ms;
	int64_t time;
	const char *text;
	struct query_texts texts;
};

static const struct query_field fields[] = {
	{"flag", QUERY_BOOL, offsetof(struct target, flag)},
	{"number", QUERY_INT, offsetof(struct target, number), -5, 100},
	{"ms", QUERY_SECONDS, offsetof(struct target, ms), 0, 3600},
	{"time", QUERY_TIME, offsetof(struct target, time)},
	{"text", QUERY_TEXT, offsetof(struct target, text)},
	{"texts", QUERY_TEXTS, offsetof(struct target, texts)},
	QUERY_FIELD_END,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *segments[PATH_SEGMENTS_MAX];
	char *text = malloc(size + 1), *mark;
	struct target target = {0};
	struct query query = {0};
	struct err err = {0};
	int count;

	memcpy(text, data, size);
	text[size] = '\0';
	mark = strchr(text, '?');
	if (mark != NULL) {
		*mark = '\0';
		if (query_split(mark + 1, &query, &err) >= 0 &&
		    query_read(&query, fields, &target, &err) >= 0) {
			assert(target.number >= -5 && target.number <= 100);
			assert(target.ms >= 0 && target.ms <= 3600000);
			assert(target.texts.count <= QUERY_TEXTS_MAX);
		}
	}
	count = path_split(text, segments, &err);
	assert(count <= PATH_SEGMENTS_MAX);
	for (int i = 0; i < count; i++)
		assert(segments[i] >= text && segments[i] <= text + size);
	query_done(&query);
	free(text);
	return 0;
}
