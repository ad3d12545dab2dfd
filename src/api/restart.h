/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a machine whose start has ended, and when a start has to end: restart policy,
 * auto_remove, ttl_s.
 *
 *	policy		starts again after an end that nobody asked for
 *	no		never
 *	on-failure	when it failed or its exit code was not 0, at most max_retries times (0: always)
 *	always		always
 *
 * It waits 100 ms, twice as long each time, at most a minute; a start that lasted 10 s begins anew.
 * While it waits the machine is at rest with `restart_due` set, which its row says too. A machine has
 * at most one chore: its ttl_s while it is live, a restart or its removal while it is not.
 */
#ifndef API_RESTART_H
#define API_RESTART_H

struct machine;

#define RESTART_DELAY_MS     100
#define RESTART_DELAY_MS_MAX 60000
#define RESTART_LASTED_MS    10000 /* a start that begins the delays anew */
#define REMOVAL_PATIENCE_MS  30000 /* for those who still read the log */
#define REMOVAL_GRACE_MS     2000  /* from a start: for who has just made it and wants its log */

/* At the end of a start: says in the reason what this process knows and krun-vmm does not. */
void restart_explain(struct machine *machine);

/* Sets restart_due or is_deleting, and the reason. */
void restart_decide(struct machine *machine);

/* Does what was decided, now or by another krun-api before. */
void restart_go_on(struct machine *machine);

/* It is live: ends it when it has been for ttl_s. */
void restart_watch_ttl(struct machine *machine);

/* An observer that held the removal up has left. */
void restart_released(struct machine *machine);

/* Forgets the chore. */
void restart_forget(struct machine *machine);

#endif
