/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"

const struct limits limits_default = {
	.entries_max = 2000000,
	.metadata_bytes_max = 512 * MIB,
	.file_bytes_max = 64 * GIB,
	.image_bytes_max = 64 * GIB,
	.stream_bytes_max = 128 * GIB,
	/* gzip cannot pass 1,032; an honest layer hardly passes 50. */
	.ratio_max = 250,
	.ratio_floor_bytes = 1 * GIB,
	.layers_max = 128,
};
