/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <errno.h>

#include "base/clock.h"
#include "base/macro.h"
#include "machine.h"
#include "supervisor.h"

int stats_ask(struct machine *machine, struct stats_ask *ask)
{
	struct stats *stats = &machine->stats;
	int64_t now_ms = clock_monotonic_ms();

	if (machine->state != MACHINE_STATE_RUNNING || machine->supervisor == NULL)
		return -ENOTCONN;
	/* One that does not answer is asked again. */
	if (stats->asked_ms == 0 || now_ms - stats->asked_ms >= STATS_TIMEOUT_MS) {
		if (supervisor_ask_stats(machine->supervisor) < 0)
			return -ENOTCONN;
		stats->asked_ms = now_ms;
	}
	ask->next = stats->asks;
	ask->link = &stats->asks;
	if (ask->next != NULL)
		ask->next->link = &ask->next;
	stats->asks = ask;
	return 0;
}

void stats_cancel(struct stats_ask *ask)
{
	if (ask->link == NULL)
		return;
	*ask->link = ask->next;
	if (ask->next != NULL)
		ask->next->link = ask->link;
	ask->link = NULL;
	ask->next = NULL;
}

/* Those who ask again from within are not among them. */
static void answer(struct machine *machine, const struct wire_machine_stats *stats)
{
	struct stats_ask *now = machine->stats.asks;

	machine->stats.asks = NULL;
	machine->stats.asked_ms = 0;
	if (now != NULL)
		now->link = &now;
	while (now != NULL) {
		struct stats_ask *ask = now;

		stats_cancel(ask);
		ask->done(ask, stats);
	}
}

void stats_came(struct machine *machine, const struct wire_machine_stats *stats)
{
	machine->stats.known = true;
	machine->stats.last = *stats;
	answer(machine, stats);
}

void stats_end(struct machine *machine)
{
	machine->stats.known = false;
	answer(machine, NULL);
}
