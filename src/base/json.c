/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "strv.h"

int json_parse(const char *text, size_t length, json_t **ret_value, struct err *err)
{
	json_error_t error;
	json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);

	if (value == NULL)
		return err_set(err, EINVAL, "not valid JSON at line %d, column %d: %s", error.line,
			       error.column, error.text);
	*ret_value = value;
	return 0;
}

static int wrong_type(const char *path, const char *wanted, struct err *err)
{
	return err_set(err, EINVAL, "%s must be %s", path, wanted);
}

static int read_string(json_t *value, const char *path, char **target, struct err *err)
{
	if (!json_is_string(value))
		return wrong_type(path, "a string", err);
	mem_replace(target, json_string_value(value));
	return 0;
}

static int read_int(const struct json_field *field, json_t *value, const char *path,
		    long long *target, struct err *err)
{
	long long number;

	if (!json_is_integer(value))
		return wrong_type(path, "a whole number", err);
	number = json_integer_value(value);
	if (number < field->min || number > field->max)
		return err_set(err, EDOM, "%s must be between %lld and %lld, not %lld", path,
			       field->min, field->max, number);
	*target = number;
	return 0;
}

static int read_strings(const struct json_field *field, json_t *value, const char *path,
			char ***target, struct err *err)
{
	_cleanup_strv_ char **strv = mem_zalloc(sizeof(char *));
	size_t i;
	json_t *item;

	if (!json_is_array(value))
		return wrong_type(path, "an array of strings", err);
	if (field->max > 0 && json_array_size(value) > (size_t)field->max)
		return err_set(err, EDOM, "%s may have at most %lld items", path, field->max);
	json_array_foreach(value, i, item) {
		if (!json_is_string(item))
			return err_set(err, EINVAL, "%s[%zu] must be a string", path, i);
		strv_push(&strv, json_string_value(item));
	}
	strv_free(*target);
	*target = take_ptr(strv);
	return 0;
}

static int read_map(const struct json_field *field, json_t *value, const char *path, char ***target,
		    struct err *err)
{
	_cleanup_strv_ char **strv = mem_zalloc(sizeof(char *));
	const char *key;
	json_t *item;

	if (!json_is_object(value))
		return wrong_type(path, "an object of strings", err);
	if (field->max > 0 && json_object_size(value) > (size_t)field->max)
		return err_set(err, EDOM, "%s may have at most %lld items", path, field->max);
	json_object_foreach(value, key, item) {
		if (*key == '\0' || strchr(key, '=') != NULL)
			return err_set(err, EINVAL, "%s: the name '%.64s' is empty or has a '='",
				       path, key);
		if (!json_is_string(item))
			return err_set(err, EINVAL, "%s.%.64s must be a string", path, key);
		strv_push_take(&strv, mem_printf("%s=%s", key, json_string_value(item)));
	}
	strv_free(*target);
	*target = take_ptr(strv);
	return 0;
}

static int read_field(const struct json_field *field, json_t *value, const char *path, void *base,
		      struct err *err)
{
	void *target = (char *)base + field->offset;

	switch (field->type) {
	case JSON_WANT_STRING:
		return read_string(value, path, target, err);
	case JSON_WANT_BOOL:
		if (!json_is_boolean(value))
			return wrong_type(path, "true or false", err);
		*(bool *)target = json_is_true(value);
		return 0;
	case JSON_WANT_INT:
		return read_int(field, value, path, target, err);
	case JSON_WANT_STRINGS:
		return read_strings(field, value, path, target, err);
	case JSON_WANT_MAP:
		return read_map(field, value, path, target, err);
	case JSON_WANT_OBJECT:
		return json_read(value, path, field->fields, target, err);
	case JSON_WANT_CUSTOM:
		return field->read(value, path, target, err);
	}
	return -EINVAL;
}

static const struct json_field *find_field(const struct json_field *fields, const char *name)
{
	for (; fields->name != NULL; fields++) {
		if (strcmp(fields->name, name) == 0)
			return fields;
	}
	return NULL;
}

static void join_path(const char *path, const char *name, char ret_path[JSON_PATH_BYTES_MAX])
{
	snprintf(ret_path, JSON_PATH_BYTES_MAX, "%s%s%s", path, *path != '\0' ? "." : "", name);
}

int json_read(json_t *object, const char *path, const struct json_field *fields, void *target,
	      struct err *err)
{
	char inner[JSON_PATH_BYTES_MAX];
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return wrong_type(*path != '\0' ? path : "the body", "an object", err);
	json_object_foreach(object, key, value) {
		const struct json_field *field = find_field(fields, key);
		int r;

		join_path(path, key, inner);
		if (field == NULL)
			return err_set(err, EINVAL, "unknown field '%s'", inner);
		if (json_is_null(value))
			continue;
		r = read_field(field, value, inner, target, err);
		if (r < 0)
			return r;
	}
	for (; fields->name != NULL; fields++) {
		value = json_object_get(object, fields->name);
		if (!fields->required || (value != NULL && !json_is_null(value)))
			continue;
		join_path(path, fields->name, inner);
		return err_set(err, EINVAL, "%s is missing", inner);
	}
	return 0;
}

int json_read_array(json_t *array, const char *path, size_t items_max,
		    int (*read)(json_t *item, const char *path, void *target, struct err *err),
		    void *target, struct err *err)
{
	char inner[JSON_PATH_BYTES_MAX];
	json_t *item;
	size_t i;

	if (!json_is_array(array))
		return wrong_type(path, "an array", err);
	if (json_array_size(array) > items_max)
		return err_set(err, EDOM, "%s may have at most %zu items", path, items_max);
	json_array_foreach(array, i, item) {
		int r;

		snprintf(inner, sizeof(inner), "%s[%zu]", path, i);
		r = read(item, inner, target, err);
		if (r < 0)
			return r;
	}
	return 0;
}
