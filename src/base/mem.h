/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the control plane: never NULL, the process aborts when there is none left. Sizes that
 * come from outside are bounded before they get here. krun-net and vminit do not use this after
 * they have started.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "macro.h"

void *mem_zalloc(size_t bytes) _must_check_ __attribute__((malloc));
void *mem_realloc(void *old, size_t bytes) _must_check_;
void *mem_realloc_array(void *old, size_t count, size_t item_bytes) _must_check_;
void *mem_dup(const void *data, size_t bytes) _must_check_;
char *mem_strdup(const char *text) _must_check_;
char *mem_strdup_or_null(const char *text) _must_check_;
char *mem_printf(const char *fmt, ...) _printf_(1, 2) _must_check_;

#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))

/* Replaces a string the struct owns: frees the old one, copies the new one (NULL stays NULL). */
void mem_replace(char **string, const char *text);

#endif
