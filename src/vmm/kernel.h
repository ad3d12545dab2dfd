/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel inside libkrunfw, as a file that QEMU boots.
 *
 * x86_64: the library holds a flattened vmlinux, every loadable segment at its offset. QEMU takes an
 * ELF file only by the PVH entry that its PT_NOTE names, so the file made here has two segments: the
 * whole blob, and the Xen note found inside it. arm64: the blob is an Image, which QEMU takes as it
 * is.
 *
 * The file is made once for each libkrunfw and kept in the cache directory.
 */
#ifndef VMM_KERNEL_H
#define VMM_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "host.h"

/* The blob starts here in the file for x86_64. */
#define KERNEL_ELF_HEAD_BYTES 4096

struct kernel_blob {
	const uint8_t *data; /* belongs to the library, which stays loaded */
	size_t size;
	uint64_t load_address, entry_address;
};

/* Loads libkrunfw: the given path, or by its usual name. -ENOTSUP and a sentence. */
int kernel_open(const char *libkrunfw_path, struct kernel_blob *ret_blob, char **ret_library_path,
		struct err *err) _must_check_;

/* The head of an ELF file whose second page begins with the blob. -EINVAL without one PVH note. */
int kernel_make_elf_head(const struct kernel_blob *blob,
			 uint8_t ret_head[KERNEL_ELF_HEAD_BYTES]) _must_check_;

/* Is it an arm64 Image? */
bool kernel_is_image(const struct kernel_blob *blob);

/* Path of the file, made now if it is not there. */
int kernel_cache(const char *libkrunfw_path, const char *cache_dir, enum host_arch arch,
		 char **ret_path, struct err *err) _must_check_;

#endif
