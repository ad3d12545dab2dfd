/* SPDX-License-Identifier: Apache-2.0 */
/* Going on in a later turn of the loop, so that one long job does not hold up everybody else. */
#ifndef API_TURN_H
#define API_TURN_H

struct server;

struct turn {
	struct turn *next, **link; /* link is NULL: not waiting */
	void (*run)(struct turn *turn);
};

void turns_init(struct server *server);
void turns_done(struct server *server);

/* `run` is called once, soon; never from within. Asking again before that changes nothing. */
void turn_later(struct server *server, struct turn *turn);
void turn_cancel(struct turn *turn);

#endif
