/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies into and out of the machine: the work of a session that is not a program of the guest's. The
 * session's process is a copy of us that executes nothing: what the image has of tools does not matter.
 * It runs as root in the machine's root, blocks as it likes, and is ended like any other process.
 *
 * Its exit code is an enum wire_copy_code. On standard error it says a line for each thing that it left
 * out, and one last line that says why it failed.
 *
 * Its buffers are static and only touched in the child. Whatever comes is hostile, and so is the tree:
 * processes of the guest change it meanwhile.
 */
#ifndef GUEST_COPY_H
#define GUEST_COPY_H

#include <stdbool.h>

#include "failure.h"
#include "wire/message.h"

struct copy_job {
	uint32_t kind; /* WIRE_KIND_PUT, WIRE_KIND_GET */
	const char *path;
	bool entry_only;
};

/* In the child: takes its standard descriptors, closes all others, works, exits. */
void copy_child(const struct copy_job *job, const int standard_fds[3]) __attribute__((noreturn));

/* The work on standard descriptors. Returns the exit code. */
uint32_t copy_run(const struct copy_job *job);

/*
 * Extracts the archive that comes from `in_fd` below the directory.
 *
 * Leading slashes of names are taken off, names with ".." in them are refused. Symbolic links on the
 * way are followed as long as they stay below the directory, all of them relative to it when it is the
 * root; one that leads out of it is refused. A regular file gets its name when it is whole; what had
 * the name, but for a directory, is replaced and never opened. Only a file that is mounted there, as a
 * volume may be, cannot be replaced: it is written over. "." itself stays as it is. A directory
 * that exists is merged with, through a symbolic link too.
 */
int copy_put(int in_fd, const char *path, struct failure *failure);

/*
 * Writes an archive of the file or tree to `out_fd`.
 *
 * A directory on which another file system is mounted is an empty one, unless it is `path` itself: so
 * the root does not have /proc in it. Sockets are left out. A file that becomes shorter meanwhile is
 * filled up with zeros, one that becomes longer is cut; one that goes away is left out. What cannot be
 * read ends the copy.
 */
int copy_get(int out_fd, const char *path, bool entry_only, struct failure *failure);

/* Sets the sentence, and the code that errno stands for. Returns -1. */
int copy_fail_errno(struct failure *failure, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Says what was left out. */
void copy_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
