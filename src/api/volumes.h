/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named volumes: ext4 files that outlive machines. One live machine at a time may write to one;
 * several that only read may share it. Knows no HTTP.
 *
 *	row, not ready -> file below tmp/ -> its place below volumes/ -> row, ready
 *
 * and back the same way, so that whatever was half done when this process was killed is found by the
 * next one, and removed.
 */
#ifndef API_VOLUMES_H
#define API_VOLUMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct machine;
struct server;
struct volume_wait;

struct volume {
	char *name;
	long long size_mib;
	int64_t created_at;
	bool is_making, is_deleting;
	struct volume_wait *waiting; /* for the end of either */
};

struct volumes {
	struct volume **items; /* sorted by name */
	size_t count, allocated;
};

typedef void (*volume_done)(void *user, int outcome, const char *sentence);

/* From the database; ends what was begun. */
int volumes_load(struct server *server, struct err *err) _must_check_;
void volumes_done(struct volumes *volumes);

/* One that is there. NULL: there is none, or it is being made or deleted. */
struct volume *volumes_find(const struct volumes *volumes, const char *name);

/*
 * Makes one. `done` is called once, never from within; `sentence` is NULL on success. -EEXIST,
 * -ENOSPC for too many: `done` is not called then.
 */
int volume_make(struct server *server, const char *name, long long size_mib, volume_done done,
		void *user, struct err *err) _must_check_;

/* The same, and one that is there or being made will do. 1: it is there, `done` is not called. */
int volume_ensure(struct server *server, const char *name, volume_done done, void *user,
		  struct err *err) _must_check_;

/* -EBUSY while a machine names it. Else `done` is called once, never from within. */
int volume_delete(struct server *server, struct volume *volume, volume_done done, void *user,
		  struct err *err) _must_check_;

/* Where its file lies, on the heap. */
char *volume_path(const struct server *server, const char *name) _must_check_;

/* Does the machine's configuration name it? */
bool volume_is_of(const char *name, const struct machine *machine);

/* -ETXTBSY when a live machine holds one of the machine's volumes, and which. */
int volumes_check_free(const struct machine *machine, struct err *err) _must_check_;

#endif
