/* SPDX-License-Identifier: Apache-2.0 */
/* Small files, of the kernel's mostly. */
#ifndef GUEST_FILE_H
#define GUEST_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* All that fits, NUL-terminated; its length or -errno. */
ssize_t file_read(const char *path, char *ret_text, size_t size);

/* The first line without its newline. 0 or -errno. */
int file_read_line(const char *path, char *ret_line, size_t size);

/* Writes an existing file in one go. 0 or -errno. */
int file_write(const char *path, const char *text);

/* Makes the directory and those above it; existing ones are left as they are. 0 or -errno. */
int file_make_directories(const char *path, mode_t mode);

#endif
