/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: processes beside the workload (an exec, a copy), each with a connection of its own.
 *
 *	AWAITING	OPEN came for a port that the kernel has not found yet: it is looked for, for a while
 *	STARTING	OPEN came: dialled, said HELLO, forked
 *	RUNNING		the exec worked: data both ways, within credit
 *	DRAINING	the process ended: what it has printed is sent, then EXIT
 *	ENDING		EXIT or FAIL is queued: until the host's END of everything (or its end of file)
 *	FREE
 *
 * A connection in ENDING may also be given its next session, by OPEN: then nobody dials, and nobody
 * waits for HELLO, which travels with the first thing that the session has to say, or after a moment.
 *
 * A client that goes away (HANGUP, end of file, more data than it was allowed) makes the session
 * `gone`: its process gets SIGHUP, then SIGKILL, its output is thrown away, and the way to FREE is the
 * same. Nothing that happens here ends PID 1, and nothing is allocated: the sessions are a table.
 *
 * On virtio-serial slot N belongs to port N, which stays open when its session is over: the host may
 * already have written the next session's frames behind its END.
 */
#ifndef GUEST_SESSION_H
#define GUEST_SESSION_H

#include "channel.h"
#include "loop.h"
#include "process.h"

void session_init(void);

/* Starts one. What is wrong goes to the client as FAIL, or as a WARNING where there is no way to it. */
void session_open(const struct wire_open *open);

bool session_reap(pid_t pid, int status);
void session_watch(struct loop *loop);

/* Deadlines that have passed. Once per turn. */
void session_advance(void);

/*
 * Sends what it can; true when no session has a process or anything left to send. No session begins
 * any more on a connection that was kept.
 */
bool session_flush_all(void);

#endif
