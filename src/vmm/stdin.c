/* SPDX-License-Identifier: Apache-2.0 */
#include "stdin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "wire/limits.h"

#define READ_TIMEOUT_MS 30000
#define READ_STEP_BYTES 65536

static int wait_readable(int64_t deadline_ms)
{
	struct pollfd pollfd = {.fd = STDIN_FILENO, .events = POLLIN};
	int n;

	do {
		n = poll(&pollfd, 1, clock_left_ms(deadline_ms));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}

static int read_text(struct buf *text)
{
	int64_t deadline_ms = clock_monotonic_ms() + READ_TIMEOUT_MS;
	char *tail;
	ssize_t n;
	int r;

	for (;;) {
		size_t room = MIN((size_t)READ_STEP_BYTES, text->bytes_max - text->length);

		if (room == 0)
			return -EFBIG;
		r = buf_reserve(text, room, &tail);
		if (r >= 0)
			r = wait_readable(deadline_ms);
		if (r < 0)
			return r;
		n = read(STDIN_FILENO, tail, room);
		if (n == 0)
			return 0;
		if (n > 0)
			buf_commit(text, (size_t)n);
		else if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

static int close_stdin(void)
{
	_cleanup_fd_ int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	return fd < 0 || dup2(fd, STDIN_FILENO) < 0 ? -errno : 0;
}

int stdin_read_config(struct vmm_config *config, struct buf *text, struct err *err)
{
	int r;

	buf_init(text, LIMIT_CONFIG_BYTES + 1);
	r = read_text(text);
	if (r == -EFBIG)
		return err_set(err, EFBIG, "the configuration is larger than %lu bytes",
			       LIMIT_CONFIG_BYTES);
	if (r >= 0)
		r = close_stdin();
	if (r < 0)
		return err_set_errno(err, -r, "cannot read the configuration");
	r = vmm_config_parse(config, text->data != NULL ? text->data : "", text->length, err);
	return r < 0 ? err_prefix(err, "configuration") : 0;
}
