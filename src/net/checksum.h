/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The internet checksum (RFC 1071) and how to mend it (RFC 1624).
 *
 * Sums are over 16-bit words as they lie in memory, so results are stored with memcpy() and need no
 * byte swap on any host.
 */
#ifndef NET_CHECKSUM_H
#define NET_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Adds `length` bytes to a partial sum; every part but the last has an even length. */
uint64_t checksum_add(uint64_t sum, const void *data, size_t length);

/* The checksum of what was added, as it goes into a header. */
uint16_t checksum_fold(uint64_t sum);

/* The same checksum after bytes of the covered data changed; `length` is even and so is the place. */
uint16_t checksum_mend(uint16_t checksum, const void *before, const void *after, size_t length);

/*
 * The pseudo header of TCP, UDP and ICMPv6: addresses of `address_bytes` (4 or 16) each lie one
 * after the other at `addresses`, as they do in both IP headers.
 */
uint64_t checksum_add_pseudo(const void *addresses, size_t address_bytes, uint8_t protocol,
			     size_t length);

#endif
