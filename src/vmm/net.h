/* SPDX-License-Identifier: Apache-2.0 */
/*
 * krun-net as its supervisor sees it: started with its configuration, ready when it says so on its
 * control connection, lost when that connection ends.
 */
#ifndef VMM_NET_H
#define VMM_NET_H

#include "child.h"
#include "link.h"
#include "machine/vmm_config.h"

struct net_calls {
	void (*ready)(void *owner, const struct wire_net_ready *ready);
	/* It failed or is gone. Not called after net_end(). */
	void (*lost)(void *owner, const char *sentence);
	void (*warned)(void *owner, const char *sentence);
	void (*stats)(void *owner, const struct wire_net_stats *stats);
};

struct net {
	const struct net_calls *calls;
	void *owner;
	struct child child;
	struct link link;
	bool hello, ready;
	char failure[LIMIT_SENTENCE_BYTES + 1]; /* what FAIL said */
};

void net_init(struct net *net, struct loop *loop, const struct net_calls *calls, void *owner);
void net_done(struct net *net);

/* `frames_fd` is krun-net's end of the socket pair; the caller closes its copy. */
int net_start(struct net *net, const struct vmm_config *config, int frames_fd,
	      struct err *err) _must_check_;

/* Queues STATS_ASK. Negative when there is no krun-net or it takes nothing any more. */
int net_ask_stats(struct net *net) _must_check_;

/* Closes the connection, which ends it, and reaps it, by force if need be. */
void net_end(struct net *net);

#endif
