/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One start of a machine, seen from here: its krun-vmm behind the control socket. A machine that was
 * just spawned and one that was found running go through the same code.
 *
 *	CONNECTING	until HELLO and the first STATE		at most SUPERVISOR_HELLO_MS
 *	FOLLOWING	STATE and LOGGED come			no limit; a stop has one
 *	SETTLING	the connection is lost, or was refused	at most SUPERVISOR_END_MS, then SIGKILL
 *
 * In SETTLING the processes of the start are watched until they are gone. Then exit.json, or its
 * absence, says how it ended, the sockets are removed, and machine_settle() ends this object. A
 * supervisor that lives on although its connection broke is connected to again, a few times.
 */
#ifndef API_SUPERVISOR_H
#define API_SUPERVISOR_H

#include <stdint.h>

#include "base/err.h"

struct link;
struct machine;
struct supervisor;
struct vmm_config;

#define SUPERVISOR_HELLO_MS      10000
#define SUPERVISOR_END_MS        3000  /* for processes to go by themselves */
#define SUPERVISOR_KILL_MS       5000  /* for killed processes to go */
#define SUPERVISOR_STOP_GRACE_MS 10000 /* past a stop's own timeout */
#define SUPERVISOR_RECONNECTS    3

/* Makes the sockets and spawns krun-vmm. On failure nothing of the start is left. */
int supervisor_spawn(struct machine *machine, const struct vmm_config *config,
		     struct err *err) _must_check_;

/* Takes up a start that may be running. */
void supervisor_adopt(struct machine *machine);

/* Lets go of it without touching the machine: this process ends. NULL is fine. */
void supervisor_free(struct supervisor *supervisor);

void supervisor_stop(struct supervisor *supervisor, int signal, int64_t timeout_ms);

/* A signal for the workload. -ENOTCONN when krun-vmm cannot be told just now. */
int supervisor_signal(struct supervisor *supervisor, int signal) _must_check_;

/* MACHINE_STATS will come (stats.h). -ENOTCONN as above. */
int supervisor_ask_stats(struct supervisor *supervisor) _must_check_;

void supervisor_kill(struct supervisor *supervisor);

/*
 * A connection whose session is over waits here for the next one, at most one of them and only while
 * this start lives. The second gives it out; NULL: there is none.
 */
void supervisor_keep_link(struct supervisor *supervisor, struct link *link);
struct link *supervisor_take_link(struct supervisor *supervisor);

#endif
