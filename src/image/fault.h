/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong with an image: a stable code, which the API passes on, and a sentence.
 *
 * Like struct err (base/err.h), but what a client may branch on is the code, not an errno. The
 * first failure wins: nothing overwrites a fault that is set, so the layer nearest to the cause
 * names it, and outer layers may put context in front of it.
 */
#ifndef IMAGE_FAULT_H
#define IMAGE_FAULT_H

#include "base/err.h"

enum fault_code {
	FAULT_NONE,
	FAULT_ARCHIVE_BROKEN,      /* not a tar, truncated, damaged compression */
	FAULT_ARCHIVE_UNSUPPORTED, /* a sound archive that is no image */
	FAULT_ARCHIVE_AMBIGUOUS,   /* more than one image */
	FAULT_IMAGE_BROKEN,        /* manifest or config that is not as specified */
	FAULT_BLOB_MISSING,
	FAULT_DIGEST_MISMATCH,
	FAULT_DIGEST_UNSUPPORTED,
	FAULT_MEDIA_TYPE_UNSUPPORTED,
	FAULT_LAYER_FOREIGN, /* the layer has to be fetched from elsewhere */
	FAULT_PLATFORM_UNSUPPORTED,
	FAULT_PATH_UNSAFE, /* leads out of the image */
	FAULT_PATH_TOO_LONG,
	FAULT_PATH_LOOP,
	FAULT_PATH_BLOCKED, /* a parent is not a directory */
	FAULT_LINK_BROKEN,
	FAULT_WHITEOUT_BROKEN,
	FAULT_ENTRY_UNSUPPORTED,
	FAULT_XATTR_TOO_LARGE,
	FAULT_TOO_MANY_LAYERS,
	FAULT_TOO_MANY_ENTRIES,
	FAULT_TOO_MANY_LINKS,
	FAULT_FILE_TOO_LARGE,
	FAULT_IMAGE_TOO_LARGE,
	FAULT_COMPRESSION_RATIO,
	FAULT_DISK_FULL,
	FAULT_IO,
	FAULT_CANCELLED,
	FAULT_CRASHED,
	FAULT_INTERNAL,
	FAULT_USAGE,
	FAULT_COUNT,
};

struct fault {
	enum fault_code code;
	char text[ERR_TEXT_BYTES_MAX];
};

/*
 * fault_set(fault, code, format, ...) sets the fault unless one is set. fault_set_errno(fault,
 * errnum, format, ...) is for a failed system call: disk_full where that is the reason, else
 * io_error; strerror is appended. fault_prefix(fault, format, ...) puts "<text>: " in front.
 *
 * All of them are -1, which is what functions here fail with, in a way that a compiler can see.
 */
#define fault_set(...)       (fault_store(__VA_ARGS__), fault_minus_one())
#define fault_set_errno(...) (fault_store_errno(__VA_ARGS__), fault_minus_one())
#define fault_prefix(...)    (fault_store_prefix(__VA_ARGS__), fault_minus_one())

void fault_store(struct fault *fault, enum fault_code code, const char *fmt, ...) _printf_(3, 4);
void fault_store_errno(struct fault *fault, int errnum, const char *fmt, ...) _printf_(3, 4);
void fault_store_prefix(struct fault *fault, const char *fmt, ...) _printf_(2, 3);

static inline int fault_minus_one(void)
{
	return -1;
}

/* "archive_broken" and so on. */
const char *fault_code_name(enum fault_code code);

#endif
