/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes on their way into a process: a ring of one window, which credit keeps from overflowing. */
#ifndef GUEST_RING_H
#define GUEST_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire/limits.h"

struct ring {
	size_t start;
	size_t length;
	_Alignas(4096) uint8_t bytes[LIMIT_WINDOW_BYTES]; /* whole pages: they can be given back */
};

void ring_clear(struct ring *ring);

/* False, and nothing is stored, when there is no room. */
bool ring_put(struct ring *ring, const uint8_t *data, size_t length);

/* Writes once; as write(2), and what was written is gone from the ring. */
ssize_t ring_write(struct ring *ring, int fd);

#endif
