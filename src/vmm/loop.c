/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

#define GROWTH 16

void loop_init(struct loop *loop)
{
	*loop = (struct loop){0};
}

void loop_done(struct loop *loop)
{
	free(loop->watches);
	free(loop->pollfds);
	loop_init(loop);
}

void loop_add(struct loop *loop, struct loop_watch *watch)
{
	assert(watch->fd >= 0 && watch->ready != NULL);
	if (loop->count == loop->allocated) {
		loop->allocated += GROWTH;
		loop->watches =
			mem_realloc_array(loop->watches, loop->allocated, sizeof(*loop->watches));
		loop->pollfds =
			mem_realloc_array(loop->pollfds, loop->allocated, sizeof(*loop->pollfds));
	}
	loop->watches[loop->count++] = watch;
}

void loop_remove(struct loop *loop, struct loop_watch *watch)
{
	for (size_t i = 0; i < loop->count; i++) {
		if (loop->watches[i] == watch)
			loop->watches[i] = NULL;
	}
	watch->fd = -1;
}

static void sweep(struct loop *loop)
{
	size_t kept = 0;

	for (size_t i = 0; i < loop->count; i++) {
		if (loop->watches[i] != NULL)
			loop->watches[kept++] = loop->watches[i];
	}
	loop->count = kept;
}

int loop_turn(struct loop *loop, int64_t deadline_ms)
{
	size_t count;
	int n;

	sweep(loop);
	count = loop->count;
	for (size_t i = 0; i < count; i++) {
		loop->pollfds[i] = (struct pollfd){
			.fd = loop->watches[i]->fd,
			.events = loop->watches[i]->events,
		};
	}
	n = poll(loop->pollfds, (nfds_t)count,
		 deadline_ms == INT64_MAX ? -1 : clock_left_ms(deadline_ms));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	/* What is called may add watches, which moves both arrays, and remove some. */
	for (size_t i = 0; n > 0 && i < count; i++) {
		short events = loop->pollfds[i].revents;

		if (events == 0)
			continue;
		n--;
		if (loop->watches[i] != NULL)
			loop->watches[i]->ready(loop->watches[i], events);
	}
	return 0;
}
