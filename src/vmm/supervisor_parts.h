/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the supervisor: its struct, its events, and what its two files do for each other.
 * supervisor.c knows states and decides; supervisor_parts.c starts the parts (VM process, krun-net,
 * guest channel) and turns what they report into events.
 */
#ifndef VMM_SUPERVISOR_PARTS_H
#define VMM_SUPERVISOR_PARTS_H

#include "backend.h"
#include "control.h"
#include "guest.h"
#include "log_writer.h"
#include "loop.h"
#include "machine/record.h"
#include "net.h"
#include "session.h"
#include "signals.h"
#include "stats.h"
#include "vm.h"
#include "wall_clock.h"

enum event {
	EVENT_NET_READY,
	EVENT_NET_LOST, /* the sentence is in `failure` */
	EVENT_ENTERED,
	EVENT_HELLO,
	EVENT_READY,
	EVENT_EXITED,
	EVENT_GUEST_LOST,
	EVENT_STOP,
	EVENT_KILL,
	EVENT_VM_FAILED, /* it could not enter; the sentence is in `failure` */
	EVENT_VM_ENDED,
	EVENT_DEADLINE,
};

#define EVENT_COUNT 12

struct supervisor {
	const struct vmm_config *config;
	const struct buf *config_text;
	struct host host;
	struct plan plan;
	const struct backend *backend; /* NULL: not chosen yet */
	bool automatic;                /* the next backend is tried when this one is unusable */

	struct loop loop;
	struct signals signals;
	struct wall_clock wall_clock;
	struct vm vm;
	struct net net;
	struct guest guest;
	struct sessions sessions;
	struct control control;
	struct log_writer log;

	struct stats stats;
	struct machine_record record;
	struct buf failure, remark; /* sentences; empty: none. The first one stays */
	struct buf unusable;        /* why the backends before this one were not used */
	struct buf
		next_reason; /* why the VM process gave up, for the next backend; empty: it did not */
	int frames_fd;       /* the VM's end of the network, until the VM process has it */
	int64_t started_ms, entered_ms;
	int64_t deadline_ms;       /* of the state; INT64_MAX: none */
	int64_t net_deadline_ms;   /* krun-net ended as if the VM process had: it must have, too */
	struct wire_shutdown stop; /* asked for; sent when the guest is there */
	struct machine_exit exit;
	char *exit_reason;
	bool stop_asked, kill_asked, forced, exited, ready, guest_lost, over;
	bool saved; /* exit.json is written */
	unsigned warnings;
};

/* supervisor.c */
void supervisor_handle(struct supervisor *s, enum event event);

/* Keeps a sentence unless there is an earlier one. */
void supervisor_fail(struct supervisor *s, const char *sentence);

/* supervisor_parts.c */
void parts_init(struct supervisor *s);
void parts_done(struct supervisor *s);

/* Chooses the backend and starts everything. On failure what was started is still to be ended. */
int parts_start(struct supervisor *s, struct err *err) _must_check_;

/* The VM process has ended and so did its backend: the next one. */
int parts_start_next(struct supervisor *s, struct err *err) _must_check_;

/* The VM process has ended: takes what the guest had said, ends the sessions and krun-net. */
void parts_end(struct supervisor *s);

#endif
