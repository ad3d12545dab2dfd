/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays that are kept in the order of their items' keys, as strcmp has it. */
#ifndef BASE_SORTED_H
#define BASE_SORTED_H

#include <stddef.h>

/* The key of the item at `index` of `list`. */
typedef const char *sorted_key_fn(const void *list, size_t index);

/* Index of the first item whose key is not less than `key`; `count` when there is none. */
size_t sorted_lower_bound(const void *list, size_t count, sorted_key_fn *key_at, const char *key);

#endif
