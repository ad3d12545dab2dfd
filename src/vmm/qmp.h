/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's monitor, over a socket that only the supervisor holds, for the one thing that is asked of it:
 * to plug session ports into a running machine.
 *
 * QEMU says a greeting, is told to leave its negotiation, then answers commands by their id, which is
 * the port's number; what else it tells is not listened to. All are JSON, one a line. The monitor is
 * left alone until it is first needed. A guest may have broken out into QEMU: a line that is longer
 * than any answer, or is no answer to what was asked, ends the connection.
 *
 * No command has a deadline here: whoever waits has one, and an answer that comes late is still told.
 *
 * Life cycle: qmp_init, qmp_open, qmp_done. The functions of qmp_calls may call qmp_add_port(), but not
 * qmp_done().
 */
#ifndef VMM_QMP_H
#define VMM_QMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "loop.h"

#define QMP_PORTS_MAX 32

/* What the arguments that QEMU is started with (backend_qemu.c) and its monitor call a session port. */
#define QMP_PORT_DRIVER  "virtserialport"
#define QMP_PORT_CHARDEV "session%d"
#define QMP_PORT_NAME    "krun.session.%d"

struct qmp_calls {
	/* The port is there, unless there is a sentence, which says why not. */
	void (*port_added)(void *owner, int port, const char *sentence);
	/* There is no monitor any more; what was asked for is not answered. */
	void (*lost)(void *owner, const char *sentence);
};

enum qmp_state {
	QMP_SILENT, /* open, and not needed yet */
	QMP_GREETING,
	QMP_NEGOTIATING,
	QMP_READY,
};

struct qmp {
	const struct qmp_calls *calls;
	void *owner;
	struct loop *loop;
	struct loop_watch watch;
	int fd; /* -1: none (any more) */
	enum qmp_state state;
	uint32_t wanted; /* ports to ask for, a bit each */
	uint32_t asked;  /* those whose answer is awaited */
	struct buf in, out;
};

void qmp_init(struct qmp *qmp, struct loop *loop, const struct qmp_calls *calls, void *owner);
void qmp_done(struct qmp *qmp);

/* Takes the connected socket, which it makes non-blocking. */
int qmp_open(struct qmp *qmp, int fd) _must_check_;

static inline bool qmp_is_open(const struct qmp *qmp)
{
	return qmp->fd >= 0;
}

/*
 * Asks for a session port (below QMP_PORTS_MAX), which `port_added` answers in a later turn. -ENOTCONN
 * without a monitor. Nothing happens when it is asked for already.
 */
int qmp_add_port(struct qmp *qmp, int port) _must_check_;

#endif
