/* SPDX-License-Identifier: Apache-2.0 */
/* All machines: by id, by name, by what stands for one of them. */
#ifndef API_MACHINES_H
#define API_MACHINES_H

#include <stddef.h>

#include "base/err.h"

struct machine;
struct server;

struct machines {
	struct machine **by_id;   /* sorted */
	struct machine **by_name; /* sorted */
	size_t count, allocated;
};

/* -EEXIST: the name is taken. -ENOSPC: there are MACHINES_MAX. */
int machines_add(struct machines *machines, struct machine *machine, struct err *err) _must_check_;
void machines_remove(struct machines *machines, struct machine *machine);
void machines_done(struct machines *machines);

/* By id, unique prefix of one, or name. -ENOENT; -EMLINK for a prefix of several. */
int machines_find(const struct machines *machines, const char *text,
		  struct machine **ret_machine) _must_check_;

/* Index in `by_id` of the first whose id is not below `id`. */
size_t machines_lower_bound(const struct machines *machines, const char *id);

/* MiB of memory promised to live machines. */
long long machines_live_memory_mib(const struct machines *machines);

/* Reads them from the database, takes up what is live, ends what was begun. */
int machines_load(struct server *server, struct err *err) _must_check_;

#endif
