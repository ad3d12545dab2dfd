/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One session in a running machine (a command, a copy) from OPEN to its end: a connection of its own
 * to the machine's krun-vmm. Knows no HTTP.
 *
 * Nothing of it is unbounded: the guest sends at most a window of each output beyond what was given
 * back with session_give_credit(), and takes at most session_input_room() bytes of input. So whoever
 * gives credit only for what has left towards a client holds back the process in the guest as well.
 *
 * Life cycle: session_new(); then the calls; `on_end` is called once and the session is gone after
 * it, unless session_free() came first, which hangs up on the process in the guest. Nothing is called
 * from within session_new(), nor from any other function here.
 */
#ifndef API_SESSION_H
#define API_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/message.h"

struct machine;
struct session;

enum session_outcome {
	SESSION_EXITED,  /* `code`, `signal` */
	SESSION_REFUSED, /* could not be started: `code` as a shell has it, `sentence` */
	SESSION_LOST,    /* the machine ended: `sentence` */
	SESSION_STUCK,   /* killed after its time limit and did not end: `sentence` */
};

struct session_end {
	enum session_outcome outcome;
	uint32_t code, signal;
	const char *sentence;
	bool timed_out; /* it was killed after its time limit */
};

struct session_calls {
	/* Data of WIRE_STREAM_STDOUT or WIRE_STREAM_STDERR, at most LIMIT_PAYLOAD_BYTES. */
	void (*on_output)(void *user, enum wire_stream stream, const void *data, size_t length);
	/* May be NULL: there may be more room for input, or room for messages again. */
	void (*on_room)(void *user);
	void (*on_end)(void *user, const struct session_end *end);
};

/*
 * -EBUSY: the machine does not run. -EUSERS: it has as many sessions as it may have. -EDOM: what is
 * asked for does not fit into a message. `session` and `port` of `open` are left 0, its credit is set
 * here. With `input_ended` in it there is no standard input.
 */
int session_new(struct machine *machine, struct wire_open *open, const struct session_calls *calls,
		void *user, struct session **ret_session, struct err *err) _must_check_;
void session_free(struct session *session);

/* The first two refusals alone. */
int session_check(const struct machine *machine, struct err *err) _must_check_;

/* Past it the process gets SIGKILL. */
void session_limit_time(struct session *session, long long timeout_s);

/* How much of standard input the guest takes now; sends at most that much; ends it. */
size_t session_input_room(const struct session *session);
void session_input(struct session *session, const void *data, size_t length);
void session_end_input(struct session *session);

/* So much of the output has been dealt with. */
void session_give_credit(struct session *session, enum wire_stream stream, size_t length);

/* False: messages below pile up, wait for `on_room`. */
bool session_has_room(const struct session *session);
void session_signal(struct session *session, int signal);
void session_resize(struct session *session, uint32_t rows, uint32_t columns);

#endif
