/* SPDX-License-Identifier: Apache-2.0 */
/* What krun-vmm says about the backends here: asked when somebody wants to know, kept for a moment. */
#ifndef API_PROBE_H
#define API_PROBE_H

struct server;

/* Who waits for the answer; zeroed except for `done` and `user`. */
struct probe_wait {
	struct probe_wait *next, **link;
	/* `backends` is a JSON array, or NULL with a sentence. */
	void (*done)(struct probe_wait *wait, const char *backends, const char *sentence);
	void *user;
};

void probe_init(struct server *server);
void probe_done(struct server *server);

/* `done` may be called from within. */
void probe_ask(struct server *server, struct probe_wait *wait);
void probe_cancel(struct probe_wait *wait);

#endif
