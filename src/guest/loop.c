/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <assert.h>

#include "clock.h"

void loop_begin(struct loop *loop)
{
	loop->count = 0;
	loop->deadline_ns = CLOCK_NEVER;
}

void loop_watch(struct loop *loop, int fd, int events, void (*call)(void *owner, short events),
		void *owner)
{
	if (fd < 0 || events == 0)
		return;
	assert(loop->count < LOOP_WATCHES_MAX);
	loop->fds[loop->count] = (struct pollfd){.fd = fd, .events = (short)events};
	loop->handlers[loop->count].call = call;
	loop->handlers[loop->count].owner = owner;
	loop->count++;
}

void loop_wake_at(struct loop *loop, uint64_t deadline_ns)
{
	if (deadline_ns < loop->deadline_ns)
		loop->deadline_ns = deadline_ns;
}

void loop_wait(struct loop *loop)
{
	if (poll(loop->fds, loop->count, clock_left_ms(loop->deadline_ns)) <= 0)
		return;
	for (size_t i = 0; i < loop->count; i++) {
		if (loop->fds[i].revents != 0)
			loop->handlers[i].call(loop->handlers[i].owner, loop->fds[i].revents);
	}
}
