/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON in: strict text to jansson values, and objects to structs by a table of fields.
 *
 * What is refused, by name and position: duplicate keys, bad UTF-8, trailing bytes, unknown fields,
 * wrong types, numbers out of range, NUL inside strings. A field that is JSON null counts as absent.
 * The sentence names the field by its path, as in "config.ports[0].host_port must be ...".
 *
 * Absent fields leave the target untouched, so defaults are set before reading.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "macro.h"

#define JSON_PATH_BYTES_MAX 256

enum json_type_wanted {
	JSON_WANT_STRING,  /* char *, owned by the struct; the old one is freed */
	JSON_WANT_BOOL,    /* bool */
	JSON_WANT_INT,     /* long long, min..max */
	JSON_WANT_STRINGS, /* char ** (strv.h), at most `max` of them when max > 0 */
	JSON_WANT_MAP,     /* object of strings as char ** of "KEY=value" */
	JSON_WANT_OBJECT,  /* nested object by its own table, at the same offset base */
	JSON_WANT_CUSTOM,  /* read() */
};

struct json_field {
	const char *name;
	enum json_type_wanted type;
	size_t offset; /* of the target in the struct */
	bool required;
	long long min, max;
	const struct json_field *fields; /* JSON_WANT_OBJECT */
	/* JSON_WANT_CUSTOM: `target` is the struct plus offset, `path` names the value. */
	int (*read)(json_t *value, const char *path, void *target, struct err *err);
};

#define JSON_FIELD_END                                                                             \
	{                                                                                          \
		.name = NULL                                                                       \
	}

/* Parses the whole text (not NUL-terminated). -EINVAL with line and column. */
int json_parse(const char *text, size_t length, json_t **ret_value, struct err *err) _must_check_;

/*
 * Reads an object into `target`. `path` is "" at the top. -EINVAL where the shape is wrong, -EDOM
 * where a number or a count is out of range; strings read so far stay owned by the struct.
 */
int json_read(json_t *object, const char *path, const struct json_field *fields, void *target,
	      struct err *err) _must_check_;

/* Calls read() for each item of an array of at most `items_max`; path becomes "path[i]". */
int json_read_array(json_t *array, const char *path, size_t items_max,
		    int (*read)(json_t *item, const char *path, void *target, struct err *err),
		    void *target, struct err *err) _must_check_;

static inline void cleanup_json(json_t **value)
{
	json_decref(*value);
}
#define _cleanup_json_ _cleanup_(cleanup_json)

#endif
