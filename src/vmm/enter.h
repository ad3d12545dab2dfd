/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM process: `krun-vmm --enter BACKEND`, started by the supervisor. It reads the configuration
 * from standard input, prepares everything, waits for the supervisor's word (the network must be
 * there first) and becomes libkrun's VM or execs QEMU.
 *
 * ENTER_FD_LINK is its connection to the supervisor, bytes both ways:
 *	supervisor	ENTER_GO	everything is there: go
 *	VM process	ENTER_ENTERED	now it enters; from here on the guest's time runs
 *			ENTER_UNUSABLE	and a sentence: this backend cannot be used here
 *			ENTER_FAILED	and a sentence
 * End of file tells it that the supervisor is gone: it then ends itself.
 */
#ifndef VMM_ENTER_H
#define VMM_ENTER_H

#include "base/err.h"
#include "plan.h"

#define ENTER_FD_LINK    3
#define ENTER_FD_CONSOLE 4 /* kernel console: a pipe, or for QEMU a socket */
#define ENTER_FD_NET     5 /* Ethernet frames, a stream socket */
#define ENTER_FD_CONTROL 6 /* guest control channel, a socket */
#define ENTER_FD_PORT    7 /* and the following: session ports */
#define ENTER_FD_MONITOR (ENTER_FD_PORT + PLAN_SESSION_PORTS) /* QEMU's, a socket */
#define ENTER_FD_END     (ENTER_FD_MONITOR + 1)

#define ENTER_GO       'g'
#define ENTER_ENTERED  'e'
#define ENTER_UNUSABLE 'u'
#define ENTER_FAILED   'x'

/* Exit status after ENTER_UNUSABLE or ENTER_FAILED. */
#define ENTER_STATUS_FAILED 70

/* The role. Returns an exit status. */
int enter_main(const char *backend_name);

/* For backends: waits for ENTER_GO and says ENTER_ENTERED. Does not return without the supervisor. */
void enter_wait(void);

/* For backends that stay in this process: a thread that ends it when the supervisor is gone. */
int enter_watch_supervisor(struct err *err) _must_check_;

/*
 * For backends that exec another program: the same for that program. On Linux the kernel sees to it
 * (PR_SET_PDEATHSIG outlives exec); on macOS a process beside it does (enter_linux.c,
 * enter_darwin.c).
 */
int enter_guard_exec(int link_fd, struct err *err) _must_check_;

/* No program that this process might come to run has more rights than it (Linux). */
int enter_harden(struct err *err) _must_check_;

#endif
