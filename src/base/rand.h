/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes from the kernel, and hexadecimal text. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

#include "macro.h"

/* Fills the buffer with bytes fit for secrets; at most 256 bytes. The kernel never fails this. */
void rand_bytes(void *ret_data, size_t bytes);

/* Lower-case hexadecimal and a NUL: `ret_text` holds 2 * bytes + 1. */
void hex_format(const void *data, size_t bytes, char *ret_text);

#endif
