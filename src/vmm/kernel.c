/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "wire/frame.h"

/* Elf64_Nhdr{namesz 4, descsz 8, type XEN_ELFNOTE_PHYS32_ENTRY}, "Xen", and the entry. */
#define NOTE_BYTES       24
#define NOTE_MATCH_BYTES 16
/* Documentation/arch/arm64/booting.rst */
#define IMAGE_MAGIC_AT 0x38
#define IMAGE_MAGIC    "ARMd"
/* elf(5), which macOS lacks */
#define ELF_TYPE_EXEC      2
#define ELF_MACHINE_X86_64 62
#define ELF_HEADER_BYTES   64
#define ELF_SEGMENT_BYTES  56
#define ELF_SEGMENT_LOAD   1
#define ELF_SEGMENT_NOTE   4
#define ELF_FLAGS_ALL      7
#define ELF_FLAGS_READ     4
#define KERNEL_BYTES_MAX   (256UL << 20)

static const uint8_t note_match[NOTE_MATCH_BYTES] = {
	4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0,
};

typedef char *get_kernel_fn(uint64_t *load_address, uint64_t *entry_address, uint64_t *size);

int kernel_open(const char *libkrunfw_path, struct kernel_blob *ret_blob, char **ret_library_path,
		struct err *err)
{
	const char *name = libkrunfw_path != NULL ? libkrunfw_path : host_libkrunfw_name;
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	uint64_t load = 0, entry = 0, size = 0;
	get_kernel_fn *get_kernel;
	Dl_info info;
	char *data;

	if (library == NULL)
		return err_set(err, ENOTSUP,
			       "libkrunfw, which holds the guest's kernel, cannot be loaded (%s): "
			       "install the package libkrunfw5 or libkrunfw",
			       dlerror());
	*(void **)&get_kernel = dlsym(library, "krunfw_get_kernel");
	if (get_kernel == NULL)
		return err_set(err, ENOTSUP, "'%s' is not libkrunfw: it has no krunfw_get_kernel",
			       name);
	data = get_kernel(&load, &entry, &size);
	if (data == NULL || size == 0 || size > KERNEL_BYTES_MAX)
		return err_set(err, ENOTSUP, "libkrunfw '%s' holds no kernel", name);
	*ret_blob = (struct kernel_blob){
		.data = (const uint8_t *)data,
		.size = (size_t)size,
		.load_address = load,
		.entry_address = entry,
	};
	if (dladdr(*(void **)&get_kernel, &info) == 0 || info.dli_fname == NULL)
		return err_set(err, ENOTSUP, "cannot tell where libkrunfw lies");
	*ret_library_path = mem_strdup(info.dli_fname);
	return 0;
}

bool kernel_is_image(const struct kernel_blob *blob)
{
	return blob->size > IMAGE_MAGIC_AT + 4 &&
	       memcmp(blob->data + IMAGE_MAGIC_AT, IMAGE_MAGIC, 4) == 0;
}

/* Exactly one, so that data which happens to look like a note is not taken for it. */
static int find_note(const struct kernel_blob *blob, size_t *ret_at)
{
	const uint8_t *note = memmem(blob->data, blob->size, note_match, NOTE_MATCH_BYTES);
	size_t at;

	if (note == NULL)
		return -EINVAL;
	at = (size_t)(note - blob->data);
	if (blob->size - at < NOTE_BYTES ||
	    memmem(note + 1, blob->size - at - 1, note_match, NOTE_MATCH_BYTES) != NULL)
		return -EINVAL;
	*ret_at = at;
	return 0;
}

/* An Elf64_Phdr. */
struct segment {
	uint32_t type, flags;
	uint64_t offset, address, size, align;
};

static void put_segment(uint8_t *p, const struct segment *segment)
{
	wire_put_u32(p, segment->type);
	wire_put_u32(p + 4, segment->flags);
	wire_put_u64(p + 8, segment->offset);
	wire_put_u64(p + 16, segment->address);
	wire_put_u64(p + 24, segment->address);
	wire_put_u64(p + 32, segment->size);
	wire_put_u64(p + 40, segment->size);
	wire_put_u64(p + 48, segment->align);
}

/* An Elf64_Ehdr, without sections. */
static void put_header(uint8_t *p, uint64_t entry, uint16_t segments)
{
	static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2 /* 64 bits */, 1 /* little-endian */,
					1 /* version */};

	memcpy(p, ident, sizeof(ident));
	wire_put_u16(p + 16, ELF_TYPE_EXEC);
	wire_put_u16(p + 18, ELF_MACHINE_X86_64);
	wire_put_u32(p + 20, 1);
	wire_put_u64(p + 24, entry);
	wire_put_u64(p + 32, ELF_HEADER_BYTES);
	wire_put_u16(p + 52, ELF_HEADER_BYTES);
	wire_put_u16(p + 54, ELF_SEGMENT_BYTES);
	wire_put_u16(p + 56, segments);
}

int kernel_make_elf_head(const struct kernel_blob *blob, uint8_t ret_head[KERNEL_ELF_HEAD_BYTES])
{
	size_t note = 0;
	int r;

	r = find_note(blob, &note);
	if (r < 0)
		return r;
	memset(ret_head, 0, KERNEL_ELF_HEAD_BYTES);
	put_header(ret_head, blob->load_address, 2);
	put_segment(ret_head + ELF_HEADER_BYTES, &(struct segment){
							 .type = ELF_SEGMENT_LOAD,
							 .flags = ELF_FLAGS_ALL,
							 .offset = KERNEL_ELF_HEAD_BYTES,
							 .address = blob->load_address,
							 .size = blob->size,
							 .align = KERNEL_ELF_HEAD_BYTES,
						 });
	put_segment(ret_head + ELF_HEADER_BYTES + ELF_SEGMENT_BYTES,
		    &(struct segment){
			    .type = ELF_SEGMENT_NOTE,
			    .flags = ELF_FLAGS_READ,
			    .offset = KERNEL_ELF_HEAD_BYTES + note,
			    .address = blob->load_address + note,
			    .size = NOTE_BYTES,
			    .align = 4,
		    });
	return 0;
}

/* A name that another libkrunfw, or a newer file at the same place, does not share. */
static int cache_path(const char *library_path, const char *cache_dir, enum host_arch arch,
		      char **ret_path)
{
	_cleanup_free_ char *name = NULL;
	struct stat st;

	if (stat(library_path, &st) < 0)
		return -errno;
	name = mem_printf("kernel-%s-%llx-%llx-%llx", host_arch_name(arch),
			  (unsigned long long)st.st_ino, (unsigned long long)st.st_size,
			  (unsigned long long)st.st_mtime);
	*ret_path = path_join(cache_dir, name);
	return 0;
}

/* Machines that start at the same time may all write: each its own file, the last rename stays. */
static int write_file(const struct kernel_blob *blob, const uint8_t *head, const char *path)
{
	_cleanup_free_ char *temporary = mem_printf("%s.%d", path, (int)getpid());
	_cleanup_fd_ int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (head != NULL)
		r = fd_write_all(fd, head, KERNEL_ELF_HEAD_BYTES);
	if (r >= 0)
		r = fd_write_all(fd, blob->data, blob->size);
	if (r >= 0 && fsync(fd) < 0)
		r = -errno;
	if (r >= 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(temporary);
	return r;
}

static int make_file(const struct kernel_blob *blob, enum host_arch arch, const char *path,
		     struct err *err)
{
	uint8_t head[KERNEL_ELF_HEAD_BYTES];
	int r;

	if (arch == HOST_ARCH_AARCH64 && !kernel_is_image(blob))
		return err_set(err, ENOTSUP, "the kernel of libkrunfw is not an arm64 Image");
	if (arch == HOST_ARCH_X86_64 && kernel_make_elf_head(blob, head) < 0)
		return err_set(err, ENOTSUP,
			       "the kernel of libkrunfw has no PVH entry, by which QEMU boots it");
	r = write_file(blob, arch == HOST_ARCH_X86_64 ? head : NULL, path);
	return r < 0 ? err_set_errno(err, -r, "cannot write the kernel to '%s'", path) : 0;
}

int kernel_cache(const char *libkrunfw_path, const char *cache_dir, enum host_arch arch,
		 char **ret_path, struct err *err)
{
	_cleanup_free_ char *library_path = NULL, *path = NULL;
	struct kernel_blob blob;
	int r;

	if (cache_dir == NULL)
		return err_set(err, EINVAL, "cache_dir is missing");
	r = kernel_open(libkrunfw_path, &blob, &library_path, err);
	if (r < 0)
		return r;
	r = cache_path(library_path, cache_dir, arch, &path);
	if (r < 0)
		return err_set_errno(err, -r, "cannot look at '%s'", library_path);
	if (access(path, R_OK) < 0) {
		r = file_mkdir_all(cache_dir, 0700);
		if (r < 0)
			return err_set_errno(err, -r, "cannot make the directory '%s'", cache_dir);
		r = make_file(&blob, arch, path, err);
		if (r < 0)
			return r;
	}
	*ret_path = take_ptr(path);
	return 0;
}
