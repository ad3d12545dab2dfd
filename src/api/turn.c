/* SPDX-License-Identifier: Apache-2.0 */
#include "turn.h"

#include <stddef.h>
#include <uv.h>

#include "base/mem.h"
#include "server.h"

struct turns {
	uv_idle_t idle; /* active while somebody waits: the loop does not sleep then */
	struct turn *first;
};

static void on_idle(uv_idle_t *idle)
{
	struct turns *turns = idle->data;
	/* Those who ask again while they run get the next turn. */
	struct turn *now = turns->first;

	turns->first = NULL;
	if (now != NULL)
		now->link = &now;
	uv_idle_stop(idle);
	while (now != NULL) {
		struct turn *turn = now;

		turn_cancel(turn);
		turn->run(turn);
	}
}

void turns_init(struct server *server)
{
	struct turns *turns = mem_new(struct turns);

	uv_idle_init(server->loop, &turns->idle);
	turns->idle.data = turns;
	server->turns = turns;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void turns_done(struct server *server)
{
	uv_close((uv_handle_t *)&server->turns->idle, on_closed);
	server->turns = NULL;
}

void turn_later(struct server *server, struct turn *turn)
{
	struct turns *turns = server->turns;

	if (turn->link != NULL)
		return;
	turn->next = turns->first;
	turn->link = &turns->first;
	if (turn->next != NULL)
		turn->next->link = &turn->next;
	turns->first = turn;
	uv_idle_start(&turns->idle, on_idle);
}

void turn_cancel(struct turn *turn)
{
	if (turn->link == NULL)
		return;
	*turn->link = turn->next;
	if (turn->next != NULL)
		turn->next->link = turn->link;
	turn->link = NULL;
	turn->next = NULL;
}
