/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend: one way to run a machine. The supervisor knows backends only through this table.
 *
 * What a backend needs from the supervisor are the descriptors of enter.h, which are the same for
 * all; what differs is said by flags. Everything about libkrun stands in backend_libkrun.c,
 * everything about QEMU in backend_qemu.c.
 */
#ifndef VMM_BACKEND_H
#define VMM_BACKEND_H

#include "base/buf.h"
#include "plan.h"
#include "tail.h"

struct backend {
	const char *name;
	bool automatic;        /* "auto" may choose it */
	bool needs_hypervisor; /* no emulation */
	bool listens; /* the guest dials run_dir/s for a session; else sessions have ports */
	bool control_by_path; /* the guest dials run_dir/g; else it has ENTER_FD_CONTROL */
	bool console_socket;  /* ENTER_FD_CONSOLE is a socket; else a pipe */
	bool takes_frames;    /* ENTER_FD_NET is used */
	bool has_monitor; /* ENTER_FD_MONITOR is used: there session ports are plugged (qmp.h) */

	/*
	 * Can it be used here? 0, or -ENOTSUP and a sentence with the way out. With 0, `note` may be
	 * filled with what one should know (slow emulation). Only the paths of `config` are read.
	 */
	int (*probe)(const struct vmm_config *config, const struct host *host, struct err *note,
		     struct err *err);

	/* Is this plan possible with it? -EINVAL and a sentence that names the number. */
	int (*check)(const struct plan *plan, struct err *err);

	/* The plan as text, a call or an argument on each line. */
	int (*print)(const struct plan *plan, struct buf *out, struct err *err);

	/* What only the backend knows of the guest: names of disks, number of ports. */
	void (*fill_guest)(const struct plan *plan, struct wire_config *config);

	/* The VM process's environment (strv.h). NULL: the supervisor's. */
	char **(*environment)(const struct vmm_config *config);

	/*
	 * In the VM process: becomes the VM. Returns only on failure: -ENOTSUP when this backend
	 * cannot be used here at all, so that "auto" may try the next one.
	 */
	int (*enter)(const struct plan *plan, struct err *err);

	/* May be NULL. After its end, in the supervisor: takes away what it leaves in run_dir. */
	void (*clean)(const struct plan *plan);

	/*
	 * Appends why the VM process ended with this wait status although the guest said nothing.
	 * `messages` is what it printed on standard error.
	 */
	void (*explain)(int status, const struct tail *messages, struct buf *out);
};

/* In the order of preference; NULL-terminated. */
extern const struct backend *const backends[];
extern const struct backend backend_libkrun, backend_qemu, backend_fake;

/* "auto" is not one. NULL when there is none of that name. */
const struct backend *backend_find(const char *name);

/* A default for explain(): exit status or signal, and the last line of messages. */
void backend_explain_status(const char *what, int status, const struct tail *messages,
			    struct buf *out);

#endif
