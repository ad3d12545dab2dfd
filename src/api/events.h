/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened, for those who want to know: each event is a row of the database, and a follower is
 * woken when there is another one. Nothing is queued for anybody: a follower reads on from the last
 * id that it has given away, when its client has room for more. Knows no HTTP.
 *
 * Whoever writes rows with events in them (store.h) calls events_wake() afterwards.
 */
#ifndef API_EVENTS_H
#define API_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "store.h"
#include "turn.h"

struct machine;
struct server;

struct event_follower {
	struct event_follower *next, **link; /* link is NULL: does not follow */
	struct server *server;
	struct turn turn; /* `run` is called, soon, when there may be more to read */
	/* Every EVENTS_KEEP_ALIVE_MS; NULL: not wanted. */
	void (*keep_alive)(struct event_follower *follower);
};

void events_init(struct server *server);
void events_done(struct server *server);

void events_follow(struct server *server, struct event_follower *follower);
void events_unfollow(struct event_follower *follower);
void events_wake(struct server *server);

/* Of an image or a volume: attributes has one member, `key`. `ret_attributes` is on the heap. */
struct store_event event_of_thing(const char *type, const char *name, const char *key,
				  const char *value, char **ret_attributes);

/* Up to two of one machine, to be written with its row. */
struct machine_events {
	struct store_event items[2];
	char *attributes[2], *reasons[2];
	size_t count;
};

/* `type` is a literal, "machine.created". Keeps what the machine is now, whatever becomes of it. */
void machine_events_add(struct machine_events *events, const struct machine *machine,
			const char *type);
void machine_events_done(struct machine_events *events);

/* The type that stands for a machine's state now. */
const char *machine_event_type(const struct machine *machine);

#endif
