/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[] = {
	[FAULT_NONE] = "none",
	[FAULT_ARCHIVE_BROKEN] = "archive_broken",
	[FAULT_ARCHIVE_UNSUPPORTED] = "archive_unsupported",
	[FAULT_ARCHIVE_AMBIGUOUS] = "archive_ambiguous",
	[FAULT_IMAGE_BROKEN] = "image_broken",
	[FAULT_BLOB_MISSING] = "blob_missing",
	[FAULT_DIGEST_MISMATCH] = "digest_mismatch",
	[FAULT_DIGEST_UNSUPPORTED] = "digest_unsupported",
	[FAULT_MEDIA_TYPE_UNSUPPORTED] = "media_type_unsupported",
	[FAULT_LAYER_FOREIGN] = "layer_foreign",
	[FAULT_PLATFORM_UNSUPPORTED] = "platform_unsupported",
	[FAULT_PATH_UNSAFE] = "path_unsafe",
	[FAULT_PATH_TOO_LONG] = "path_too_long",
	[FAULT_PATH_LOOP] = "path_loop",
	[FAULT_PATH_BLOCKED] = "path_blocked",
	[FAULT_LINK_BROKEN] = "link_broken",
	[FAULT_WHITEOUT_BROKEN] = "whiteout_broken",
	[FAULT_ENTRY_UNSUPPORTED] = "entry_unsupported",
	[FAULT_XATTR_TOO_LARGE] = "xattr_too_large",
	[FAULT_TOO_MANY_LAYERS] = "too_many_layers",
	[FAULT_TOO_MANY_ENTRIES] = "too_many_entries",
	[FAULT_TOO_MANY_LINKS] = "too_many_links",
	[FAULT_FILE_TOO_LARGE] = "file_too_large",
	[FAULT_IMAGE_TOO_LARGE] = "image_too_large",
	[FAULT_COMPRESSION_RATIO] = "compression_ratio",
	[FAULT_DISK_FULL] = "disk_full",
	[FAULT_IO] = "io_error",
	[FAULT_CANCELLED] = "cancelled",
	[FAULT_CRASHED] = "worker_crashed",
	[FAULT_INTERNAL] = "internal",
	[FAULT_USAGE] = "usage",
};
static_assert(ARRAY_SIZE(code_names) == FAULT_COUNT, "a code without a name");

void fault_store(struct fault *fault, enum fault_code code, const char *fmt, ...)
{
	va_list ap;

	assert(code > FAULT_NONE && code < FAULT_COUNT);
	if (fault->code != FAULT_NONE)
		return;
	fault->code = code;
	va_start(ap, fmt);
	vsnprintf(fault->text, sizeof(fault->text), fmt, ap);
	va_end(ap);
}

/* EFBIG: the file system or the process may not have a file this large. */
static bool is_full(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG;
}

void fault_store_errno(struct fault *fault, int errnum, const char *fmt, ...)
{
	va_list ap;
	size_t length;

	if (fault->code != FAULT_NONE)
		return;
	fault->code = is_full(errnum) ? FAULT_DISK_FULL : FAULT_IO;
	va_start(ap, fmt);
	vsnprintf(fault->text, sizeof(fault->text), fmt, ap);
	va_end(ap);
	length = strlen(fault->text);
	snprintf(fault->text + length, sizeof(fault->text) - length, ": %s", strerror(errnum));
}

void fault_store_prefix(struct fault *fault, const char *fmt, ...)
{
	char tail[sizeof(fault->text)];
	va_list ap;
	size_t length;

	memcpy(tail, fault->text, sizeof(tail));
	va_start(ap, fmt);
	vsnprintf(fault->text, sizeof(fault->text), fmt, ap);
	va_end(ap);
	length = strlen(fault->text);
	snprintf(fault->text + length, sizeof(fault->text) - length, ": %s", tail);
}

const char *fault_code_name(enum fault_code code)
{
	return code < FAULT_COUNT ? code_names[code] : "internal";
}
