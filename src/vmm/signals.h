/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals as events of the loop: a handler writes the signal's number into a pipe. SIGCHLD, SIGCONT,
 * SIGTERM and SIGINT arrive there; SIGPIPE and SIGHUP are ignored. One per process.
 */
#ifndef VMM_SIGNALS_H
#define VMM_SIGNALS_H

#include "base/err.h"
#include "loop.h"

struct signals {
	struct loop *loop;
	struct loop_watch watch;
	void (*received)(void *owner, int sig);
	void *owner;
};

int signals_open(struct signals *signals, struct loop *loop, void (*received)(void *owner, int sig),
		 void *owner, struct err *err) _must_check_;
void signals_close(struct signals *signals);

#endif
