/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a running machine uses. Its krun-vmm is asked when somebody wants to know and never otherwise;
 * those who ask while an answer is on its way get that one.
 */
#ifndef API_STATS_H
#define API_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

struct machine;

#define STATS_TIMEOUT_MS 2000 /* krun-vmm takes a second at most */

/* One who asks. NULL in `done`: it runs no more, or cannot be asked; the ask is over in any case. */
struct stats_ask {
	struct stats_ask *next, **link; /* link is NULL: does not wait */
	void (*done)(struct stats_ask *ask, const struct wire_machine_stats *stats);
};

/* Of one machine, in it. */
struct stats {
	struct stats_ask *asks;
	int64_t asked_ms; /* when krun-vmm was asked what it has not answered; 0: nothing */
	bool known;
	struct wire_machine_stats last; /* of this start */
};

/* Never calls back from within. -ENOTCONN when it does not run; `done` is not called then. */
int stats_ask(struct machine *machine, struct stats_ask *ask) __attribute__((warn_unused_result));
void stats_cancel(struct stats_ask *ask);

/* ---- for machine.c and supervisor.c ---- */

void stats_came(struct machine *machine, const struct wire_machine_stats *stats);

/* The start is over. */
void stats_end(struct machine *machine);

#endif
