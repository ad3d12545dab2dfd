/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NULL-terminated vectors of strings, each string and the vector itself on the heap. NULL is a
 * valid empty vector.
 */
#ifndef BASE_STRV_H
#define BASE_STRV_H

#include <stdbool.h>
#include <stddef.h>

#include "macro.h"

size_t strv_length(char *const *strv);

/* Appends a copy of `text` (strv_push) or the string itself, which it then owns (strv_push_take). */
void strv_push(char ***strv, const char *text);
void strv_push_take(char ***strv, char *text);

char **strv_copy(char *const *strv) _must_check_;
bool strv_contains(char *const *strv, const char *text);
void strv_free(char **strv);

/* Value of "KEY=value" in an environment vector, or NULL. */
const char *strv_env_get(char *const *env, const char *key);

/* Sets KEY in an environment vector, in place of an older value where there is one. */
void strv_env_set(char ***env, const char *key, const char *value);

static inline void cleanup_strv(char ***strv)
{
	strv_free(*strv);
}
#define _cleanup_strv_ _cleanup_(cleanup_strv)

#endif
