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

#define STORE_VERSION 1

struct store;

/* Opens or makes the database and brings it to STORE_VERSION. -EPROTO when it is of a later one. */
int store_open(const char *path, struct store **ret_store, struct err *err) _must_check_;
void store_close(struct store *store);

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
};

int store_machine_insert(struct store *store, const struct store_machine *machine,
			 struct err *err) _must_check_;

/* Writes state, reason, record, generation, deleting and updated_at. */
int store_machine_update(struct store *store, const struct store_machine *machine,
			 struct err *err) _must_check_;
int store_machine_delete(struct store *store, const char *id, struct err *err) _must_check_;

/* Calls back for each, oldest first; strings live during the call. A negative errno ends it. */
int store_machines_each(struct store *store,
			int (*each)(const struct store_machine *machine, void *user,
				    struct err *err),
			void *user, struct err *err) _must_check_;

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
		       struct err *err) _must_check_;

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
int store_image_delete(struct store *store, const char *digest, struct err *err) _must_check_;
int store_image_delete_name(struct store *store, const char *name, struct err *err) _must_check_;

/* Newest first; images borrow nothing. */
int store_images_each(struct store *store,
		      int (*each)(const struct store_image *image, void *user, struct err *err),
		      void *user, struct err *err) _must_check_;

#endif
