/* SPDX-License-Identifier: Apache-2.0 */
/* How many bytes come out of a compressed stream, and out of how many: archive bombs end here. */
#ifndef IMAGE_RATIO_H
#define IMAGE_RATIO_H

#include <stdint.h>

#include "fault.h"
#include "limits.h"

struct ratio {
	const struct limits *limits;
	const char *what;    /* in faults */
	uint64_t bytes;      /* uncompressed so far */
	uint64_t base_bytes; /* of the streams before this one, for the limit on all of them */
};

/* `bytes` more came out; `compressed` in all have gone in. */
int ratio_add(struct ratio *ratio, uint64_t bytes, uint64_t compressed,
	      struct fault *fault) _must_check_;

#endif
