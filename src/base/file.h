/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and directories. Functions return a negative errno on failure.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "macro.h"

/* Reads a whole regular file into the (empty) buffer. -EFBIG past the buffer's maximum. */
int file_read(const char *path, struct buf *buf) _must_check_;

/*
 * Replaces `path` by the data so that after a crash there is the old or the new file, whole:
 * temporary name beside it, fsync, rename, fsync of the directory. On failure (a full disk) the old
 * file stays and the temporary one is gone.
 */
int file_write_atomic(const char *path, const void *data, size_t length, mode_t mode) _must_check_;

/* fsync(2) of the directory that holds `path`. */
int file_sync_parent(const char *path) _must_check_;

/* Creates the directory and its parents; what exists stays as it is. -ENOTDIR over a file. */
int file_mkdir_all(const char *path, mode_t mode) _must_check_;

/*
 * Removes a file or a directory with everything below it, never following a symlink. 0 when it is
 * not there. Goes on past single failures and returns the first one.
 */
int file_remove_tree(const char *path);

/*
 * Copies a regular file to a new path with the cheapest means there is: a clone that shares blocks
 * (FICLONE, clonefile), else only the ranges that hold data, so that a sparse file stays sparse
 * (file_linux.c, file_darwin.c). -EEXIST when `to` exists; nothing stays behind on failure.
 */
int file_clone(const char *from, const char *to, mode_t mode) _must_check_;

/* Sparse copy between open files, used by file_clone where blocks cannot be shared. */
int file_copy_sparse(int from_fd, int to_fd) _must_check_;

/* Free bytes for an ordinary user on the file system that holds `path`. */
int file_free_bytes(const char *path, uint64_t *ret_bytes) _must_check_;

/* "dir/name", on the heap. */
char *path_join(const char *directory, const char *name) _must_check_;

/*
 * `path` made absolute and free of symlinks, "." and "..": realpath(3). -ENOENT and so on as there.
 */
int path_resolve(const char *path, char **ret_path) _must_check_;

/* First executable regular file of that name in $PATH; a name with a slash is looked at as it is. */
int path_find_program(const char *name, char **ret_path) _must_check_;

#endif
