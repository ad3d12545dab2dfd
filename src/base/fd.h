/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors: ownership, flags, whole reads and writes, sockets between our processes.
 *
 * Every descriptor made here is close-on-exec; a child gets the ones it shall have by name
 * (spawn.h). Functions return a negative errno on failure.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "buf.h"
#include "macro.h"

/* Longest path of a unix socket that works on every platform, with its NUL (macOS: 104). */
#define FD_UNIX_PATH_BYTES_MAX 104

/* Closes the descriptor if it is not negative. Always returns -1. Keeps errno. */
int fd_close(int fd);

static inline void cleanup_fd(int *fd)
{
	fd_close(*fd);
}
#define _cleanup_fd_ _cleanup_(cleanup_fd)

/* Hands the descriptor over and sets the variable to -1. */
#define take_fd(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})

int fd_set_cloexec(int fd, bool on) _must_check_;
int fd_set_nonblock(int fd, bool on) _must_check_;

/* Makes every descriptor from `lowest` on close-on-exec (fd_linux.c, fd_darwin.c). */
int fd_set_cloexec_from(int lowest) _must_check_;

/* pipe(2) and a connected AF_UNIX stream pair, both close-on-exec, no SIGPIPE where the OS can. */
int fd_pipe(int ret_fds[2]) _must_check_;
int fd_socketpair(int ret_fds[2]) _must_check_;

/* Writes everything to a blocking descriptor. */
int fd_write_all(int fd, const void *data, size_t length) _must_check_;

/*
 * Writes everything to a blocking or non-blocking descriptor, waiting with poll(2) until
 * `deadline_ms` (clock_monotonic_ms). -ETIMEDOUT past it, -EPIPE when the peer is gone.
 */
int fd_write_all_until(int fd, const void *data, size_t length, int64_t deadline_ms) _must_check_;

/* Appends what is there until end of file. -EFBIG when it is more than the buffer may hold. */
int fd_read_to_end(int fd, struct buf *buf) _must_check_;

/*
 * A listening AF_UNIX stream socket at `path` with the given mode (0600), the stale file of a dead
 * server taken away first: -EADDRINUSE when something answers there, -ENAMETOOLONG past the limit.
 */
int fd_unix_listen(const char *path, unsigned mode, int *ret_fd) _must_check_;

/* Connects; blocking. -ECONNREFUSED or -ENOENT when nobody listens. */
int fd_unix_connect(const char *path, int *ret_fd) _must_check_;

/* accept(2) with close-on-exec and non-blocking set. -EAGAIN when nobody waits. */
int fd_accept(int listen_fd, int *ret_fd) _must_check_;

/* User id of the process at the other end of a connected unix socket (fd_linux.c, fd_darwin.c). */
int fd_peer_uid(int fd, uid_t *ret_uid) _must_check_;

#endif
