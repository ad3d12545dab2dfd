/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: managers and sessions. A client says HELLO with its role first; krun-vmm
 * answers with HELLO, its machine and generation.
 *
 * A manager gets the newest record when it comes and after each change (a slow one may miss what was
 * in between, never the last), and word that the log has grown, at most once in a while. What it
 * asks for is handed to the supervisor; what it wants to know (STATS_ASK) is answered later, all who
 * ask meanwhile at once. That it goes changes nothing.
 *
 * A session's client may open another one after EXIT.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include "base/buf.h"
#include "base/err.h"
#include "link.h"
#include "session.h"

struct control_calls {
	void (*stop)(void *owner, const struct wire_shutdown *stop);
	void (*kill)(void *owner);
	/* Somebody wants figures: control_set_stats() is to follow. */
	void (*ask_stats)(void *owner);
	/* To the workload; dropped while there is none. */
	void (*signal)(void *owner, const struct wire_signal *signal);
	/* Why no session can be opened now; NULL when it can. */
	const char *(*refuse_session)(void *owner);
};

struct client;

struct control {
	const struct control_calls *calls;
	void *owner;
	struct loop *loop;
	struct sessions *sessions;
	struct loop_watch listener;
	char *path; /* of the socket, unlinked at the end; NULL when it has none */
	const char *machine_id;
	uint32_t generation;
	struct client *first;
	size_t client_count;
	struct buf state;                /* the newest record, JSON; empty: none yet */
	struct wire_machine_stats stats; /* the last answer to STATS_ASK */
	bool logged;                     /* the log has grown since managers were told */
	int64_t logged_at_ms;
};

void control_init(struct control *control, struct loop *loop, struct sessions *sessions,
		  const struct control_calls *calls, void *owner);

/* Takes the listening socket. The strings must outlive it. */
int control_open(struct control *control, int listen_fd, const char *machine_id,
		 uint32_t generation, struct err *err) _must_check_;
void control_done(struct control *control);

/* The new record as JSON text, at most LIMIT_RECORD_BYTES; copied. */
void control_set_state(struct control *control, const char *json, size_t length);
void control_set_logged(struct control *control);

/* Tells the managers that take what they are given; the others miss it. */
void control_warn(struct control *control, const char *sentence);

/* Answers all who have asked. */
void control_set_stats(struct control *control, const struct wire_machine_stats *stats);

/* sessions_init() wants it: the client has no session any more. */
void control_detach_session(struct link *client);

int64_t control_deadline(const struct control *control);
void control_expire(struct control *control);

/*
 * The last state is set: unlinks the socket, delivers what is queued until `deadline_ms` and closes
 * everything.
 */
void control_end(struct control *control, int64_t deadline_ms);

#endif
