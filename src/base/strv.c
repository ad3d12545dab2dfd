/* SPDX-License-Identifier: Apache-2.0 */
#include "strv.h"

#include <string.h>

#include "mem.h"

size_t strv_length(char *const *strv)
{
	size_t n = 0;

	while (strv != NULL && strv[n] != NULL)
		n++;
	return n;
}

void strv_push_take(char ***strv, char *text)
{
	size_t n = strv_length(*strv);

	*strv = mem_realloc_array(*strv, n + 2, sizeof(char *));
	(*strv)[n] = text;
	(*strv)[n + 1] = NULL;
}

void strv_push(char ***strv, const char *text)
{
	strv_push_take(strv, mem_strdup(text));
}

char **strv_copy(char *const *strv)
{
	size_t n = strv_length(strv);
	char **copy = mem_realloc_array(NULL, n + 1, sizeof(char *));

	for (size_t i = 0; i < n; i++)
		copy[i] = mem_strdup(strv[i]);
	copy[n] = NULL;
	return copy;
}

bool strv_contains(char *const *strv, const char *text)
{
	for (; strv != NULL && *strv != NULL; strv++) {
		if (strcmp(*strv, text) == 0)
			return true;
	}
	return false;
}

void strv_free(char **strv)
{
	for (char **s = strv; s != NULL && *s != NULL; s++)
		free(*s);
	free(strv);
}

/* Index of KEY in the vector, or its length. */
static size_t env_find(char *const *env, const char *key)
{
	size_t length = strlen(key), i = 0;

	for (; env != NULL && env[i] != NULL; i++) {
		if (strncmp(env[i], key, length) == 0 && env[i][length] == '=')
			break;
	}
	return i;
}

const char *strv_env_get(char *const *env, const char *key)
{
	size_t i = env_find(env, key);

	return env != NULL && env[i] != NULL ? env[i] + strlen(key) + 1 : NULL;
}

void strv_env_set(char ***env, const char *key, const char *value)
{
	size_t i = env_find(*env, key);
	char *item = mem_printf("%s=%s", key, value);

	if (*env != NULL && (*env)[i] != NULL) {
		free((*env)[i]);
		(*env)[i] = item;
		return;
	}
	strv_push_take(env, item);
}
