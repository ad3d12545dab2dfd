/* SPDX-License-Identifier: Apache-2.0 */
#include "ratio.h"

int ratio_add(struct ratio *ratio, uint64_t bytes, uint64_t compressed, struct fault *fault)
{
	const struct limits *limits = ratio->limits;

	ratio->bytes += bytes;
	if (ratio->base_bytes + ratio->bytes > limits->stream_bytes_max)
		return fault_set(fault, FAULT_IMAGE_TOO_LARGE,
				 "%s is larger than %llu bytes when it is unpacked", ratio->what,
				 (unsigned long long)limits->stream_bytes_max);
	if (ratio->bytes > limits->ratio_floor_bytes &&
	    ratio->bytes / limits->ratio_max > compressed)
		return fault_set(fault, FAULT_COMPRESSION_RATIO,
				 "%s becomes more than %llu times larger when it is unpacked",
				 ratio->what, (unsigned long long)limits->ratio_max);
	return 0;
}
