/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of one start (generation) of a machine. krun-vmm writes it: to record.json at each
 * change of state, to exit.json once at the end, and to every manager on the control socket (STATE).
 * krun-api reads it from all three. exit.json with the machine's current generation means that this
 * start is over; a record.json whose supervisor no longer runs and no exit.json means that the
 * supervisor was killed.
 */
#ifndef MACHINE_RECORD_H
#define MACHINE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/jsonw.h"
#include "base/proc.h"
#include "machine/config.h"
#include "machine/state.h"

#define MACHINE_RECORD_FILE "record.json"
#define MACHINE_EXIT_FILE   "exit.json"

/* Milliseconds; -1: not reached. */
struct machine_boot_ms {
	long long spawn;   /* krun-vmm started to VM process entered */
	long long kernel;  /* to vminit's HELLO */
	long long root;    /* mounting the root */
	long long network; /* interfaces up */
	long long ready;   /* krun-vmm started to READY: the whole */
};

struct machine_exit {
	long long code;
	long long signal; /* Linux number, 0: none */
	bool oom_killed;
	bool requested; /* a stop was asked for */
};

struct machine_record {
	char *id;
	long long generation;
	enum machine_state state;
	char *reason; /* why it failed, or what one should know of how it ended */
	char *backend;
	struct proc_id supervisor, vm, net;
	char *guest_ip;             /* NULL: no network */
	struct machine_ports ports; /* host_port is the real one */
	struct machine_boot_ms boot_ms;
	int64_t started_at, ready_at, finished_at; /* realtime ns, 0: not yet */
	bool has_exit;
	struct machine_exit exit;
};

void machine_record_init(struct machine_record *record);
void machine_record_done(struct machine_record *record);

void machine_record_write(struct jsonw *w, const struct machine_record *record);
int machine_record_parse(struct machine_record *record, const char *text, size_t length,
			 struct err *err) _must_check_;

/* Atomically writes `directory`/`file`; reads it. -ENOENT when there is none. */
int machine_record_save(const struct machine_record *record, const char *directory,
			const char *file, struct err *err) _must_check_;
int machine_record_load(struct machine_record *record, const char *directory, const char *file,
			struct err *err) _must_check_;

/* The members "exit" and "boot_ms" as the API shows them. */
void machine_exit_write(struct jsonw *w, const struct machine_record *record);
void machine_boot_ms_write(struct jsonw *w, const struct machine_boot_ms *boot_ms);

#endif
