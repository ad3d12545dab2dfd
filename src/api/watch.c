/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <errno.h>

#include "base/fd.h"
#include "base/mem.h"

struct watch {
	uv_poll_t poll;
	int fd;
	void (*on_end)(void *user);
	void *user;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = (struct watch *)poll;

	uv_poll_stop(poll);
	watch->on_end(watch->user);
}

int watch_new(uv_loop_t *loop, const struct proc_id *id, void (*on_end)(void *user), void *user,
	      struct watch **ret_watch)
{
	_cleanup_fd_ int fd = -1;
	struct watch *watch;
	int r = watch_open(id->pid, &fd);

	if (r < 0)
		return r;
	/* The descriptor is of whoever has the pid now. */
	if (!proc_is_running(id))
		return -ESRCH;
	watch = mem_new(struct watch);
	r = uv_poll_init(loop, &watch->poll, fd);
	if (r < 0) {
		free(watch);
		return r;
	}
	watch->fd = take_fd(fd);
	watch->on_end = on_end;
	watch->user = user;
	r = uv_poll_start(&watch->poll, UV_READABLE, on_readable);
	if (r < 0) {
		watch_free(watch);
		return r;
	}
	*ret_watch = watch;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct watch *watch = (struct watch *)handle;

	fd_close(watch->fd);
	free(watch);
}

void watch_free(struct watch *watch)
{
	if (watch != NULL)
		uv_close((uv_handle_t *)&watch->poll, on_closed);
}
