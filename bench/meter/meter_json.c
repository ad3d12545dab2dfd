/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter json PATH < DOCUMENT
 *
 * Prints one value of a JSON document: `exit.code`, `ports.0.host_port`. Strings are printed as they are, null and what is not
 * there as nothing, objects and arrays as JSON; `PATH.#` is the number of members.
 */
#include "meter.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *value_find(json_t *value, char *path)
{
	char *rest = NULL;

	for (char *name = strtok_r(path, ".", &rest); name && value;
	     name = strtok_r(NULL, ".", &rest)) {
		if (json_is_array(value))
			value = json_array_get(value, strtoul(name, NULL, 10));
		else
			value = json_object_get(value, name);
	}
	return value;
}

static void value_print(const json_t *value)
{
	if (json_is_string(value))
		printf("%s\n", json_string_value(value));
	else if (value && !json_is_null(value))
		json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
}

static void value_count(const json_t *value)
{
	printf("%zu\n", json_is_array(value) ? json_array_size(value) : json_object_size(value));
}

int meter_json(char **argv)
{
	json_error_t error;
	json_t *document;
	char *count;

	if (!argv[1] || argv[2]) {
		fprintf(stderr, "meter json PATH\n");
		return 1;
	}
	document = json_loadf(stdin, JSON_DECODE_ANY, &error);
	if (!document) {
		fprintf(stderr, "meter json: %s\n", error.text);
		return 1;
	}
	count = strchr(argv[1], '#');
	if (count) {
		*count = '\0';
		value_count(value_find(document, argv[1]));
	} else {
		value_print(value_find(document, argv[1]));
	}
	json_decref(document);
	return 0;
}
