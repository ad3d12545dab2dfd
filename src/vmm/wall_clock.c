/* SPDX-License-Identifier: Apache-2.0 */
#include "wall_clock.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#define CHECK_MS 60000
#define JUMP_NS  (250 * CLOCK_NS_PER_MS)

static int64_t offset_ns(void)
{
	return clock_realtime_ns() - clock_monotonic_us() * 1000;
}

static void on_jump(struct loop_watch *watch, short events)
{
	struct wall_clock *wall = watch->owner;
	uint64_t expirations;

	(void)events;
	/* It fails with ECANCELED: that is the word. */
	(void)!read(watch->fd, &expirations, sizeof(expirations));
	wall->jumped(wall->owner);
}

void wall_clock_open(struct wall_clock *wall, struct loop *loop, void (*jumped)(void *owner),
		     void *owner)
{
	int fd = -1;

	*wall = (struct wall_clock){
		.loop = loop,
		.watch = {.fd = -1, .events = POLLIN, .ready = on_jump, .owner = wall},
		.check_at_ms = INT64_MAX,
		.offset_ns = offset_ns(),
		.jumped = jumped,
		.owner = owner,
	};
	if (wall_clock_make_fd(&fd) < 0) {
		wall->check_at_ms = clock_monotonic_ms() + CHECK_MS;
		return;
	}
	wall->watch.fd = fd;
	loop_add(loop, &wall->watch);
}

void wall_clock_close(struct wall_clock *wall)
{
	int fd = wall->watch.fd;

	if (wall->loop == NULL)
		return;
	if (fd >= 0)
		loop_remove(wall->loop, &wall->watch);
	fd_close(fd);
	wall->check_at_ms = INT64_MAX;
}

void wall_clock_expire(struct wall_clock *wall, int64_t now_ms)
{
	int64_t jump_ns;

	if (now_ms < wall->check_at_ms)
		return;
	jump_ns = offset_ns() - wall->offset_ns;
	wall->check_at_ms = now_ms + CHECK_MS;
	wall->offset_ns += jump_ns;
	if (jump_ns <= -JUMP_NS || jump_ns >= JUMP_NS)
		wall->jumped(wall->owner);
}
