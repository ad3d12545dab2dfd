/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine uses, put together when somebody asks: the guest and krun-net are asked in turn and
 * have STATS_WAIT_MS together; then everybody who has asked meanwhile gets what is there (control.h).
 * Between questions nothing is counted, nothing is sent and nobody wakes up.
 */
#ifndef VMM_STATS_H
#define VMM_STATS_H

#include "control.h"
#include "guest.h"
#include "net.h"
#include "vm.h"

#define STATS_WAIT_MS 1000

struct stats {
	struct guest *guest;
	struct net *net;
	const struct vm *vm;
	struct control *control;
	const char *disk_path; /* NULL: the machine has none */
	struct wire_machine_stats answer;
	bool guest_due, net_due; /* asked, has not answered */
	int64_t deadline_ms;     /* INT64_MAX: nobody has asked */
};

/* All of them must outlive it. */
void stats_init(struct stats *stats, struct guest *guest, struct net *net, const struct vm *vm,
		struct control *control, const char *disk_path);

/* Somebody asks; an answer that is being put together already is theirs too. */
void stats_ask(struct stats *stats);

void stats_take_guest(struct stats *stats, const struct wire_stats *guest);
void stats_take_net(struct stats *stats, const struct wire_net_stats *net);

/* From `deadline_ms` on: answers without what has not come. */
void stats_expire(struct stats *stats, int64_t now_ms);

#endif
