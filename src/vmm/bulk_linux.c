/* SPDX-License-Identifier: Apache-2.0 */
#include "bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A frame lies in more pages than it has when it came in pieces. */
#define PIPE_BYTES ((int)(4 * LIMIT_PAYLOAD_BYTES))

/* What passes from socket to socket passes through it, and it is empty in between. */
static bool get_pipe(int ret_ends[2])
{
	static int ends[2] = {-1, -1};

	/* What is not granted it does not need: it is filled and emptied more than once then. */
	if (ends[0] < 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0)
		(void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
	ret_ends[0] = ends[0];
	ret_ends[1] = ends[1];
	return ends[0] >= 0;
}

size_t bulk_waiting(int fd)
{
	int waiting = 0, ends[2];

	return ioctl(fd, SIOCINQ, &waiting) < 0 || waiting < 0 || !get_pipe(ends) ? 0
										  : (size_t)waiting;
}

/* As many as are there. */
static int append(int fd, size_t length, struct buf *rest)
{
	char *tail;
	ssize_t n;
	int r = 0;

	while (length > 0 && r >= 0) {
		r = buf_reserve(rest, length, &tail);
		if (r < 0)
			return r;
		n = read(fd, tail, length);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno != EINTR)
			return -errno;
		n = n < 0 ? 0 : n;
		buf_commit(rest, (size_t)n);
		length -= (size_t)n;
	}
	return r;
}

int bulk_move(int from, int to, const uint8_t head[WIRE_HEAD_BYTES], size_t length,
	      struct buf *ret_rest)
{
	size_t held = WIRE_HEAD_BYTES; /* in the pipe */
	ssize_t in, out;
	int ends[2], r;

	if (!get_pipe(ends) || write(ends[1], head, WIRE_HEAD_BYTES) != WIRE_HEAD_BYTES)
		return -EMFILE;
	do {
		in = splice(from, NULL, ends[1], NULL, length, SPLICE_F_NONBLOCK);
		in = in < 0 ? 0 : in;
		length -= (size_t)in;
		held += (size_t)in;
		out = splice(ends[0], NULL, to, NULL, held, SPLICE_F_NONBLOCK);
		held -= out < 0 ? 0 : (size_t)out;
	} while (in > 0 && held == 0 && length > 0);
	r = append(ends[0], held, ret_rest);
	return r < 0 ? r : append(from, length, ret_rest);
}
