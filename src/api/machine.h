/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine as this server knows it: what was asked for, its state, the record of its last start.
 * Knows no HTTP.
 *
 * The state is assigned here and nowhere else (machine_state_may_move). While a machine is live its
 * supervisor.h object is there and says what the krun-vmm reported; a state of rest is assigned only
 * when the processes and sockets of that start are gone.
 *
 *	             created  starting running stopping stopped failed
 *	start        starting    -        -       -     starting starting	-EBUSY where "-"
 *	stop         -        asks     asks    asks     -        -		done at once where "-";
 *										a restart is called off
 *	delete       gone        -        -       -     gone     gone		-EBUSY where "-"
 *	krun-vmm's STATE      any      any     any				believed
 *	start's end           stopped, failed by exit.json, else failed
 *
 * Whoever waits for something observes the machine. An observer may stop observing, itself and
 * others, and may start observing, from within a call.
 */
#ifndef API_MACHINE_H
#define API_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "machine/config.h"
#include "machine/id.h"
#include "machine/record.h"
#include "stats.h"

struct machine;
struct merged;
struct server;
struct store_answer;
struct store_machine;
struct supervisor;

enum machine_event {
	MACHINE_EVENT_CHANGED, /* state or record */
	MACHINE_EVENT_LOGGED,  /* the log has grown */
	MACHINE_EVENT_DELETED, /* it is gone when this call returns */
	MACHINE_EVENT_DELETE_FAILED,
};

struct observer {
	struct observer *next, **link;
	struct machine *machine; /* NULL: does not observe */
	bool holds_removal;      /* auto_remove waits for it, within reason */
	void (*notify)(struct observer *observer, enum machine_event event);
};

struct machine {
	struct server *server;
	char id[MACHINE_ID_BYTES];
	char *name;
	struct machine_config config;
	struct machine_network network;
	char **labels;
	char *image_digest; /* NULL: rootfs_path */
	int64_t created_at, updated_at;

	enum machine_state state;
	char *reason;
	int64_t generation;            /* of the last start; 0: none */
	struct machine_record record;  /* of that start, as far as it is known */
	struct supervisor *supervisor; /* while live */
	enum machine_state announced;  /* the newest state that there is an event of */

	/* restart.h */
	int64_t restart_count; /* by the policy, since somebody started it */
	bool restart_due;      /* at rest until the policy starts it again */
	bool stop_asked;       /* of this start */
	bool ttl_over;         /* this start was stopped for its ttl_s */
	bool keep_once;        /* the next end is one of a restart: auto_remove does not apply */
	long long restart_delay_ms;
	struct chore *chore;

	struct stats stats;

	struct merged *merged; /* launch_merged(); NULL: not asked for yet */

	bool is_creating; /* its disk is being made: nobody can find it yet */
	bool is_deleting;
	bool remove_running;
	unsigned exec_count;

	struct observer *observers;
	struct observer *notify_next; /* of the notification that runs */
	char delete_error[256];
};

/* A new machine from a request, whose parts it takes over. Not known to anybody yet. */
struct machine *machine_new(struct server *server, struct machine_request *request);

/* From the database. -EINVAL when it cannot be understood. */
int machine_load(struct server *server, const struct store_machine *row,
		 struct machine **ret_machine, struct err *err) _must_check_;
void machine_free(struct machine *machine);

/* Leaves its processes alone and forgets what was to be done with it: this process ends. */
void machine_let_go(struct machine *machine);

/* It is at rest and will not start by itself. */
bool machine_has_ended(const struct machine *machine);

/* Writes its row for the first time, with the call that made it (idempotency.h) or NULL. With `starting` it begins its first start in the same write. */
int machine_insert(struct machine *machine, bool starting, const struct store_answer *answer,
		   struct err *err) _must_check_;

/*
 * Spawns krun-vmm. -EBUSY: its state forbids it. -EDOM: the host lacks what it needs (a path, an
 * image). -EAGAIN: no memory left for it. -ETXTBSY: another machine holds one of its volumes. Else krun-vmm cannot run: the machine is `failed` then.
 */
int machine_start(struct machine *machine, struct err *err) _must_check_;

/* The same, by its restart policy. */
void machine_start_again(struct machine *machine);

/* Asks for a stop; observers hear of it. 0 on a machine at rest too. `signal` is a Linux number. */
void machine_stop(struct machine *machine, int signal, int64_t timeout_ms);

/* A stop that nobody asked for: its time is over. */
void machine_stop_for_ttl(struct machine *machine);

/* The signal that a stop of this machine uses. */
int machine_stop_signal(const struct machine *machine);

/* A signal for the workload. -EBUSY unless it runs. */
int machine_signal(struct machine *machine, int signal, struct err *err) _must_check_;

/* Ends the VM at once. */
void machine_kill(struct machine *machine);

/* Removes a machine at rest with all it has; observers hear of the end. -EBUSY while it is live. */
int machine_delete(struct machine *machine, struct err *err) _must_check_;

void machine_observe(struct machine *machine, struct observer *observer);
void machine_unobserve(struct observer *observer);

/* ---- for supervisor.c ---- */

/* What krun-vmm reports of a live machine. Negative when it cannot be. */
int machine_report(struct machine *machine, struct machine_record *record) _must_check_;
void machine_logged(struct machine *machine);

/* Something is not as it should be, and it goes on. Written as an event. */
void machine_warned(struct machine *machine, const char *sentence);

/* The end of a start: processes and sockets are gone. Takes over the record's parts. */
void machine_settle(struct machine *machine, struct machine_record *record);

/* Paths, on the heap. */
char *machine_directory(const struct machine *machine) _must_check_;
char *machine_run_directory(const struct machine *machine) _must_check_;
char *machine_disk_path(const struct machine *machine) _must_check_;

#endif
