/* SPDX-License-Identifier: Apache-2.0 */
#include "query.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/opt.h"
#include "bounds.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool has_control(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	}
	return false;
}

/* Everything but NUL. */
static int decode_bytes(char *text, bool plus_is_space)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		unsigned char c = (unsigned char)*from;

		if (c == '%') {
			int high = hex_value(from[1]);
			int low = high < 0 ? -1 : hex_value(from[2]);

			if (low < 0)
				return -EINVAL;
			c = (unsigned char)(high * 16 + low);
			from += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c == '\0')
			return -EINVAL;
		*to++ = (char)c;
	}
	*to = '\0';
	return 0;
}

int percent_decode(char *text, bool plus_is_space)
{
	int r = decode_bytes(text, plus_is_space);

	return r < 0 ? r : has_control(text) ? -EINVAL : 0;
}

static int add_item(struct query *query, char *text, struct err *err)
{
	char *value = strchr(text, '=');
	struct query_item *item;

	if (query->count == QUERY_ITEMS_MAX)
		return err_set(err, EINVAL, "the query has more than %d items", QUERY_ITEMS_MAX);
	if (query->items == NULL)
		query->items = mem_realloc_array(NULL, QUERY_ITEMS_MAX, sizeof(*query->items));
	item = &query->items[query->count];
	if (value != NULL)
		*value++ = '\0';
	if (percent_decode(text, true) < 0 || (value != NULL && decode_bytes(value, true) < 0))
		return err_set(err, EINVAL, "the query has a broken %%XX or a control character");
	item->name = text;
	item->value = value == NULL ? "" : value;
	query->count++;
	return 0;
}

int query_split(char *text, struct query *ret_query, struct err *err)
{
	char *rest = text, *item;

	*ret_query = (struct query){0};
	while ((item = strsep(&rest, "&")) != NULL) {
		int r;

		if (*item == '\0')
			continue;
		r = add_item(ret_query, item, err);
		if (r < 0)
			return r;
	}
	return 0;
}

void query_done(struct query *query)
{
	free(query->items);
	*query = (struct query){0};
}

static int read_bool(const char *value, bool *target)
{
	if (*value == '\0' || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
		*target = true;
	else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		*target = false;
	else
		return -EINVAL;
	return 0;
}

/* "30", "0.25": digits, and up to three decimals. */
static int read_seconds(const char *value, long long min, long long max, long long *target)
{
	size_t whole = strspn(value, "0123456789"), decimals = 0;
	long long ms = 0;

	if (whole == 0 || whole > 9)
		return -EINVAL;
	if (value[whole] == '.')
		decimals = strspn(value + whole + 1, "0123456789");
	if (value[whole] == '.' && (decimals == 0 || decimals > 9))
		return -EINVAL;
	if (value[whole + (decimals > 0 ? decimals + 1 : 0)] != '\0')
		return -EINVAL;
	for (size_t i = 0; i < whole; i++)
		ms = ms * 10 + value[i] - '0';
	for (size_t i = 0; i < 3; i++)
		ms = ms * 10 + (i < decimals ? value[whole + 1 + i] - '0' : 0);
	if (ms < min * 1000 || ms > max * 1000)
		return -ERANGE;
	*target = ms;
	return 0;
}

static int read_time(const char *value, int64_t *target)
{
	char text[64];
	char *space;

	if (strlen(value) >= sizeof(text))
		return -EINVAL;
	strcpy(text, value);
	/* "+02:00" whose plus was not encoded. */
	space = strrchr(text, ' ');
	if (space != NULL && strlen(space) == strlen("+02:00"))
		*space = '+';
	return clock_parse(text, target);
}

static int read_texts(const char *value, struct query_texts *target)
{
	if (target->count == QUERY_TEXTS_MAX)
		return -EINVAL;
	target->items[target->count++] = value;
	return 0;
}

static int read_item(const struct query_field *field, const char *value, void *target,
		     struct err *err)
{
	static const char *const wanted[] = {
		[QUERY_BOOL] = "true or false",
		[QUERY_TIME] = "a time as in 2026-11-22T20:11:21Z, or seconds since 1970",
		[QUERY_TEXTS] = "given at most 16 times",
	};
	int r = 0;

	switch (field->type) {
	case QUERY_BOOL:
		r = read_bool(value, target);
		break;
	case QUERY_INT:
		r = opt_parse_int(value, field->min, field->max, target);
		break;
	case QUERY_SECONDS:
		r = read_seconds(value, field->min, field->max, target);
		break;
	case QUERY_TIME:
		r = read_time(value, target);
		break;
	case QUERY_TEXT:
	case QUERY_BYTES:
		*(const char **)target = value;
		break;
	case QUERY_TEXTS:
		r = read_texts(value, target);
		break;
	}
	if (r >= 0)
		return 0;
	if (field->type == QUERY_INT || field->type == QUERY_SECONDS)
		return err_set(err, EINVAL, "query: %s must be a number between %lld and %lld",
			       field->name, field->min, field->max);
	return err_set(err, EINVAL, "query: %s must be %s", field->name, wanted[field->type]);
}

static const struct query_field *find_field(const struct query_field *fields, const char *name)
{
	for (; fields->name != NULL; fields++) {
		if (strcmp(fields->name, name) == 0)
			return fields;
	}
	return NULL;
}

int query_read(const struct query *query, const struct query_field *fields, void *target,
	       struct err *err)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < query->count; i++) {
		const struct query_item *item = &query->items[i];
		const struct query_field *field = find_field(fields, item->name);
		uint64_t bit;
		int r;

		if (field == NULL)
			return err_set(err, EINVAL, "query: unknown item '%.64s'", item->name);
		bit = UINT64_C(1) << (field - fields);
		if ((seen & bit) != 0 && field->type != QUERY_TEXTS)
			return err_set(err, EINVAL, "query: %s stands more than once", field->name);
		seen |= bit;
		if (field->type != QUERY_BYTES && has_control(item->value))
			return err_set(err, EINVAL, "query: %s has a control character",
				       field->name);
		r = read_item(field, item->value, (char *)target + field->offset, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int path_split(char *text, const char *ret_segments[PATH_SEGMENTS_MAX], struct err *err)
{
	char *rest, *segment;
	int count = 0;

	if (*text != '/')
		return err_set(err, EINVAL, "the target must be a path");
	rest = text + 1;
	while ((segment = strsep(&rest, "/")) != NULL) {
		if (count == PATH_SEGMENTS_MAX)
			return err_set(err, EINVAL, "the path has more than %d segments",
				       PATH_SEGMENTS_MAX);
		if (percent_decode(segment, false) < 0)
			return err_set(err, EINVAL,
				       "the path has a broken %%XX or a control character");
		ret_segments[count++] = segment;
	}
	return count;
}
