/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: a client of the control socket, a process in the guest, and the frames between them
 * (relay.h). Towards the guest a session is a channel: a connection that vminit dials and that names
 * the session, or one of the named ports, which are used again and again.
 *
 *	PLUGGING  OPEN waits for QEMU to plug the port, for a while
 *	WAITING	  OPEN has gone to the guest; its HELLO is awaited for a while
 *	OPEN	  frames pass both ways
 *	HANGUP	  the client is gone, the guest was told; its EXIT is awaited for a while
 *
 * The guest is always drained: what may be outstanding is bounded by the client's credit. The client
 * is read only while the guest takes what it sends. Session numbers are random, so that an ordinary
 * process of the guest, which may dial as well as vminit, cannot take over a session.
 *
 * After the guest's EXIT or FAIL the guest is answered with END of everything; the client gets what is
 * left and, unless it was EXIT, is closed. A port that did not come back (no EXIT) is not used again in this boot. A few
 * connections are kept instead, by saying nothing: the next sessions begin on them at once. That they
 * are vminit's is known, because they have named a session.
 *
 * A port costs the guest 4 MiB (backend_qemu.c), so QEMU plugs one (qmp.h) when a session finds all that
 * are plugged in use, and no earlier. It stays plugged. When QEMU says no, or nothing in time, that
 * session is refused; the port may still come, for another one.
 */
#ifndef VMM_SESSION_H
#define VMM_SESSION_H

#include "base/err.h"
#include "guest.h"
#include "link.h"
#include "qmp.h"
#include "relay.h"

struct session;
struct channel;

struct sessions {
	struct loop *loop;
	struct guest *guest;
	/*
	 * The session of this client is over: it must not be used any more. The client may open
	 * another unless its link is closing.
	 */
	void (*detached)(struct link *client);
	struct loop_watch listener;
	char *path;
	struct session *first;
	struct channel *channels; /* connections and ports */
	size_t session_count, channel_count, kept_count;
	bool ports;
	struct qmp monitor; /* QEMU's, where ports are plugged when they are needed */
	bool is_cut_short;  /* it is gone, and there are not all ports yet */
	uint64_t uses;      /* counts the uses of ports */
};

void sessions_init(struct sessions *sessions, struct loop *loop, struct guest *guest,
		   void (*detached)(struct link *client));
void sessions_done(struct sessions *sessions);

/* How the guest reaches us: a socket run_dir/s that it dials, or ports one after the other. */
int sessions_listen(struct sessions *sessions, const char *run_dir, struct err *err) _must_check_;
int sessions_add_port(struct sessions *sessions, int fd, struct err *err) _must_check_;

/*
 * Takes QEMU's monitor, after the ports: those from `first` on are not plugged yet. One that was stays
 * so.
 */
int sessions_add_monitor(struct sessions *sessions, int fd, int first,
			 struct err *err) _must_check_;

/* For another attempt with another backend: no sessions yet, everything else is forgotten. */
void sessions_reset(struct sessions *sessions);

/*
 * Starts a session for the client, which `detached` ends. NULL: it could not be started, and the
 * client got FAIL with the sentence and link_finish().
 */
struct session *sessions_open(struct sessions *sessions, struct link *client,
			      struct wire_open *open);

/* Refuses: FAIL with the sentence, then link_finish(). */
void session_refuse(struct link *client, uint32_t code, const char *sentence);

/* A frame of the client; negative: it loses its connection. */
int session_take(struct session *session, const struct wire_frame *frame);

/* The client is gone. The session must not be used any more by the caller. */
void session_hang_up(struct session *session);

/* When something must be looked at next, INT64_MAX: never; and the looking. */
int64_t sessions_deadline(const struct sessions *sessions);
void sessions_expire(struct sessions *sessions);

/* The VM process has ended: delivers what the guest had sent and fails what is left. */
void sessions_end(struct sessions *sessions, const char *sentence);

#endif
