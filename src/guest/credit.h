/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credit of one stream of a session: how many bytes may still be sent (wire/frame.h).
 *
 * `open` is what the sender may still send. The receiver also keeps `owed`: what it has consumed and
 * not yet given back; it is given back in portions.
 */
#ifndef GUEST_CREDIT_H
#define GUEST_CREDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/limits.h"

#define CREDIT_PORTION_BYTES (LIMIT_WINDOW_BYTES / 4)

struct credit {
	uint32_t open;
	uint32_t owed;
};

/* The receiver's start: the window, owed in full, so that the first grant gives it. */
static inline struct credit credit_receiver(void)
{
	return (struct credit){.owed = LIMIT_WINDOW_BYTES};
}

/* The receiver got `bytes`. False: more than it allowed. */
static inline bool credit_take(struct credit *credit, size_t bytes)
{
	if (bytes > credit->open)
		return false;
	credit->open -= (uint32_t)bytes;
	return true;
}

static inline void credit_consume(struct credit *credit, size_t bytes)
{
	credit->owed += (uint32_t)bytes;
}

/*
 * What to grant now; 0: nothing. Less than a portion may wait: then either the sender still has more
 * than enough, or there is more to be consumed.
 */
static inline uint32_t credit_grant(struct credit *credit)
{
	uint32_t bytes = credit->owed;

	if (bytes < CREDIT_PORTION_BYTES)
		return 0;
	credit->open += bytes;
	credit->owed = 0;
	return bytes;
}

/* The sender was granted `bytes`; a peer that grants without end changes nothing. */
static inline void credit_add(struct credit *credit, uint32_t bytes)
{
	credit->open = bytes > UINT32_MAX - credit->open ? UINT32_MAX : credit->open + bytes;
}

#endif
