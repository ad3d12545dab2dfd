/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sorted.h"

#include <string.h>

size_t sorted_lower_bound(const void *list, size_t count, sorted_key_fn *key_at, const char *key)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(key_at(list, middle), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
