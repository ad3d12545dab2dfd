/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: -1 is none; all of ours are close-on-exec. */
#ifndef GUEST_FD_H
#define GUEST_FD_H

#define _cleanup_fd_  __attribute__((cleanup(fd_close)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

/* Hands the descriptor over and clears the variable. */
#define take_fd(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})

/* Closes if there is one, sets to -1, keeps errno. */
void fd_close(int *fd);

/* Takes descriptors 0 to 2, so that nothing opened later becomes somebody's standard output. */
void fd_reserve_standard(void);

int fd_set_nonblocking(int fd);

#endif
