/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must outlive this process, in SQLite: one writer, WAL, synchronous=FULL, so that what was
 * acknowledged is on the disk. Each function is one transaction.
 *
 * A machine's row says what was asked for and what came of it: its state is one of rest, or
 * `starting` for a machine that should be live, whose true state its supervisor knows.
 */
#ifndef API_STORE_H
#define API_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "machine/state.h"

#define STORE_VERSION 2

struct store;

/* Opens or makes the database and brings it to STORE_VERSION. -EPROTO when it is of a later one. */
int store_open(const char *path, struct store **ret_store, struct err *err) _must_check_;
void store_close(struct store *store);

/* Something that happened. NULL where there is none. */
struct store_event {
	int64_t id; /* given when it is written; they increase, with gaps, and never come again */
	int64_t at;
	const char *type; /* "machine.running" */
	const char *machine_id, *name, *state, *reason;
	const char *attributes; /* a JSON object; NULL: an empty one */
};

/* A call with an Idempotency-Key that made a machine, and its answer once there is one. */
struct store_answer {
	const char *key;    /* not given by store_answer_find() */
	const char *digest; /* of the call */
	const char *machine_id;
	int status; /* 0: no answer yet */
	const char *body;
	int64_t created_at;
};

struct store_event_range {
	int64_t count;
	int64_t oldest, newest; /* ids; 0: there is none */
};

/* NULL where there is none. `spec` and `record` (machine/record.h) are JSON. */
struct store_machine {
	const char *id, *name;
	const char *spec; /* {"config", "network", "labels"} */
	const char *image_digest;
	enum machine_state state;
	const char *reason;
	const char *record;
	int64_t generation;
	bool deleting;
	int64_t created_at, updated_at;
	enum machine_state announced; /* the newest state that there is an event of */
	int64_t restart_count;
	bool restart_due; /* at rest until its policy starts it again */

	/* What happened to it, written in the same transaction. */
	const struct store_event *events;
	size_t event_count;
	const struct store_answer *answer; /* of the call that made it; only when it is inserted */
};

int store_machine_insert(struct store *store, const struct store_machine *machine,
			 struct err *err) _must_check_;

/* Writes all but id, name, spec, image_digest and created_at. */
int store_machine_update(struct store *store, const struct store_machine *machine,
			 struct err *err) _must_check_;

/*
 * An event of a live machine's state, which its row does not hold. As store_event_insert() it
 * survives this process at once and the host's power a little later.
 */
int store_machine_announce(struct store *store, const struct store_event *event,
			   struct err *err) _must_check_;

/* `event` may be NULL, here and below. */
int store_machine_delete(struct store *store, const char *id, const struct store_event *event,
			 struct err *err) _must_check_;

/* Calls back for each, oldest first; strings live during the call. A negative errno ends it. */
int store_machines_each(struct store *store,
			int (*each)(const struct store_machine *machine, void *user,
				    struct err *err),
			void *user, struct err *err) _must_check_;

int store_event_insert(struct store *store, const struct store_event *event,
		       struct err *err) _must_check_;
struct store_event_range store_events_range(const struct store *store);

/* Calls back for at most `limit` events whose id is greater, in order; strings live in the call. */
int store_events_after(struct store *store, int64_t after, size_t limit,
		       void (*each)(const struct store_event *event, void *user), void *user,
		       struct err *err) _must_check_;

struct store_image {
	char *digest, *architecture, *os;
	char *config; /* the OCI image config's `config` member */
	char **names; /* strv */
	int64_t size_bytes, content_bytes;
	int64_t created_at;
};

void store_image_done(struct store_image *image);

/* Inserts it unless it is there, and gives it the names, taking them away from other images. */
int store_image_insert(struct store *store, const struct store_image *image,
		       const struct store_event *event, struct err *err) _must_check_;

/* By the whole digest, or by the exact name. -ENOENT. `ret_image` is initialised by the callee. */
int store_image_find(struct store *store, const char *digest, struct store_image *ret_image,
		     struct err *err) _must_check_;
int store_image_find_name(struct store *store, const char *name, char **ret_digest,
			  struct err *err) _must_check_;

/* The one digest that begins so. -ENOENT, -EMLINK. */
int store_image_find_prefix(struct store *store, const char *prefix, char **ret_digest,
			    struct err *err) _must_check_;

/* How many machines use it. */
int store_image_count_users(struct store *store, const char *digest, int64_t *ret_count,
			    struct err *err) _must_check_;
int store_image_delete(struct store *store, const char *digest, const struct store_event *event,
		       struct err *err) _must_check_;
int store_image_delete_name(struct store *store, const char *name, struct err *err) _must_check_;

/* Newest first; images borrow nothing. */
int store_images_each(struct store *store,
		      int (*each)(const struct store_image *image, void *user, struct err *err),
		      void *user, struct err *err) _must_check_;

/* May be lost with the host's power. A key that is not there is no error. */
int store_answer_complete(struct store *store, const char *key, int status, const char *body,
			  struct err *err) _must_check_;

/* One made after `since`. -ENOENT. store_answer_done() after success. */
int store_answer_find(struct store *store, const char *key, int64_t since,
		      struct store_answer *ret_answer, struct err *err) _must_check_;
void store_answer_done(struct store_answer *answer);

/*
 * A volume whose file is being made or removed is not ready: a krun-api that finds it so removes what
 * there is of it.
 */
struct store_volume {
	const char *name;
	long long size_mib;
	bool is_ready;
	int64_t created_at;
};

/* Not ready. -EEXIST. */
int store_volume_insert(struct store *store, const struct store_volume *volume,
			struct err *err) _must_check_;

/* `event` may be NULL. */
int store_volume_set_ready(struct store *store, const char *name, bool is_ready,
			   const struct store_event *event, struct err *err) _must_check_;
int store_volume_delete(struct store *store, const char *name, const struct store_event *event,
			struct err *err) _must_check_;

/* By name; strings live during the call. */
int store_volumes_each(struct store *store,
		       void (*each)(const struct store_volume *volume, void *user), void *user,
		       struct err *err) _must_check_;

#endif
