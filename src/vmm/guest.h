/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's control channel: vminit on the other side. Whatever the guest sends is taken at once
 * and in order; a guest that breaks the protocol loses its channel, and with it the machine.
 *
 * Order: HELLO from the guest, then `hello` is called, which is to answer with the configuration;
 * then READY or EXITED; OUTPUT, WARNING and STATS, which is asked for, at any time after HELLO.
 */
#ifndef VMM_GUEST_H
#define VMM_GUEST_H

#include "base/err.h"
#include "link.h"
#include "machine/log_file.h"

struct guest_calls {
	void (*hello)(void *owner, const struct wire_hello *hello);
	void (*ready)(void *owner, const struct wire_ready *ready);
	void (*output)(void *owner, enum log_stream stream, const void *data, size_t length);
	void (*exited)(void *owner, const struct wire_exited *exited);
	void (*warned)(void *owner, const char *sentence);
	void (*stats)(void *owner, const struct wire_stats *stats);
	/* The channel has ended. `sentence`: how, when that is the guest's fault, else NULL. */
	void (*lost)(void *owner, const char *sentence);
};

struct guest {
	const struct guest_calls *calls;
	void *owner;
	struct loop *loop;
	struct loop_watch listener; /* until the guest has said HELLO */
	char *path;
	struct link link;
	bool hello, ready, exited;
	char fault[128];
};

void guest_init(struct guest *guest, struct loop *loop, const struct guest_calls *calls,
		void *owner);
void guest_done(struct guest *guest);

/* The guest dials the socket run_dir/g, which is made here; or it has the other end of `fd`. */
int guest_listen(struct guest *guest, const char *run_dir, struct err *err) _must_check_;
int guest_open(struct guest *guest, int fd, struct err *err) _must_check_;

/* Queues a message to the guest. Negative when there is no guest or it takes nothing any more. */
int guest_send(struct guest *guest, enum wire_type type, const struct wire_message *message,
	       const void *from) _must_check_;

/* Queues STATS_ASK. Negative as above. */
int guest_ask_stats(struct guest *guest) _must_check_;

/* After the VM process has ended: takes what it had said still, then closes. */
void guest_drain(struct guest *guest);

#endif
