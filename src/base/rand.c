/* SPDX-License-Identifier: Apache-2.0 */
#include "rand.h"

#include <assert.h>
#include <sys/random.h>
#include <unistd.h>

void rand_bytes(void *ret_data, size_t bytes)
{
	assert(bytes <= 256);
	if (getentropy(ret_data, bytes) < 0)
		abort();
}

void hex_format(const void *data, size_t bytes, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < bytes; i++) {
		ret_text[2 * i] = digits[p[i] >> 4];
		ret_text[2 * i + 1] = digits[p[i] & 15];
	}
	ret_text[2 * bytes] = '\0';
}
