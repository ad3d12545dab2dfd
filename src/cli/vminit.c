/* SPDX-License-Identifier: Apache-2.0 */
#include "vminit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* ELF-64, System V ABI: macOS has no <elf.h>. Little-endian, as both guests are. */
#define HEADER_BYTES    64
#define PROGRAM_BYTES   56
#define AT_CLASS        4
#define AT_DATA         5
#define AT_MACHINE      18
#define AT_PHOFF        32
#define AT_PHENTSIZE    54
#define AT_PHNUM        56
#define CLASS_64        2
#define DATA_LITTLE     1
#define MACHINE_X86_64  62
#define MACHINE_AARCH64 183
#define PROGRAM_INTERP  3
#define PROGRAMS_MAX    64

static uint64_t read_le(const uint8_t *at, size_t bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | at[bytes];
	return value;
}

static int check_header(const uint8_t *header, const char *path, struct err *err)
{
	uint64_t machine = read_le(header + AT_MACHINE, 2);

	if (memcmp(header, "\177ELF", 4) != 0)
		return err_set(err, ENOEXEC, "--init '%s' is no Linux program (ELF)", path);
	if (header[AT_CLASS] != CLASS_64 || header[AT_DATA] != DATA_LITTLE ||
	    (machine != MACHINE_X86_64 && machine != MACHINE_AARCH64))
		return err_set(err, ENOEXEC, "--init '%s' is neither for x86_64 nor for arm64",
			       path);
	return 0;
}

/* A dynamic program names its loader, which no boot disk has. */
static int check_programs(int fd, const uint8_t *header, const char *path, struct err *err)
{
	uint64_t offset = read_le(header + AT_PHOFF, 8);
	uint64_t bytes = read_le(header + AT_PHENTSIZE, 2);
	uint64_t count = read_le(header + AT_PHNUM, 2);
	uint8_t program[PROGRAM_BYTES];

	if (bytes != PROGRAM_BYTES || count == 0 || count > PROGRAMS_MAX || offset > INT32_MAX)
		return err_set(err, ENOEXEC, "--init '%s' is a broken ELF file", path);
	for (uint64_t i = 0; i < count; i++) {
		ssize_t n = pread(fd, program, sizeof(program), (off_t)(offset + i * bytes));

		if (n != (ssize_t)sizeof(program))
			return err_set(err, ENOEXEC, "--init '%s' is a broken ELF file", path);
		if (read_le(program, 4) == PROGRAM_INTERP)
			return err_set(
				err, ENOEXEC,
				"--init '%s' is linked dynamically: a guest boots a static one",
				path);
	}
	return 0;
}

int vminit_check(const char *path, struct err *err)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t header[HEADER_BYTES];
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set_errno(err, errno, "--init '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "--init '%s' is no regular file", path);
	if (pread(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
		return err_set(err, ENOEXEC, "--init '%s' is no Linux program (ELF)", path);
	r = check_header(header, path, err);
	return r < 0 ? r : check_programs(fd, header, path, err);
}
