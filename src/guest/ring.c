/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <string.h>
#include <sys/uio.h>

#include "fd.h"

void ring_clear(struct ring *ring)
{
	ring->start = 0;
	ring->length = 0;
}

bool ring_put(struct ring *ring, const uint8_t *data, size_t length)
{
	size_t end, first;

	if (length > sizeof(ring->bytes) - ring->length)
		return false;
	end = (ring->start + ring->length) % sizeof(ring->bytes);
	first = MIN(length, sizeof(ring->bytes) - end);
	memcpy(ring->bytes + end, data, first);
	memcpy(ring->bytes, data + first, length - first);
	ring->length += length;
	return true;
}

ssize_t ring_write(struct ring *ring, int fd)
{
	size_t first = MIN(ring->length, sizeof(ring->bytes) - ring->start);
	struct iovec parts[] = {
		{ring->bytes + ring->start, first},
		{ring->bytes, ring->length - first},
	};
	ssize_t n = writev(fd, parts, parts[1].iov_len > 0 ? 2 : 1);

	if (n > 0) {
		ring->start = (ring->start + (size_t)n) % sizeof(ring->bytes);
		ring->length -= (size_t)n;
	}
	return n;
}
