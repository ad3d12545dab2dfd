/* SPDX-License-Identifier: Apache-2.0 */
#include "checksum.h"

#include <arpa/inet.h>
#include <string.h>

uint64_t checksum_add(uint64_t sum, const void *data, size_t length)
{
	const uint8_t *p = data;
	uint32_t word;

	/* Words of 32 bits: a frame is too short for the 64-bit sum to overflow. */
	for (; length >= sizeof(word); p += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	if (length > 0) {
		word = 0;
		memcpy(&word, p, length);
		sum += word;
	}
	return sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t checksum_fold(uint64_t sum)
{
	return (uint16_t)~fold(sum);
}

uint16_t checksum_mend(uint16_t checksum, const void *before, const void *after, size_t length)
{
	uint64_t sum = (uint16_t)~checksum;

	sum += (uint16_t)~fold(checksum_add(0, before, length));
	sum += fold(checksum_add(0, after, length));
	return checksum_fold(sum);
}

uint64_t checksum_add_pseudo(const void *addresses, size_t address_bytes, uint8_t protocol,
			     size_t length)
{
	uint32_t tail[2] = {htonl((uint32_t)length), htonl(protocol)};

	return checksum_add(checksum_add(0, addresses, 2 * address_bytes), tail, sizeof(tail));
}
