/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine will consist of, the same for every backend: its configuration with the paths
 * checked and resolved. A backend turns it into calls or arguments (backend.h).
 */
#ifndef VMM_PLAN_H
#define VMM_PLAN_H

#include "host.h"
#include "machine/vmm_config.h"
#include "wire/message.h"

#define PLAN_SHARES_MAX    (LIMIT_VOLUMES + 1)
#define PLAN_ROOT_TAG      "root"
#define PLAN_SESSION_PORTS LIMIT_SESSION_PORTS

/* A directory of the host in the guest, by virtiofs. */
struct plan_share {
	char tag[8];            /* PLAN_ROOT_TAG, "vol0", "vol1", ... */
	char *path;             /* absolute, no symlinks */
	const char *guest_path; /* NULL: the root */
	bool read_only;
};

struct plan {
	const struct vmm_config *config; /* not owned */
	const struct host *host;         /* not owned */
	struct plan_share shares[PLAN_SHARES_MAX];
	size_t share_count;
	bool root_is_share; /* rootfs_path: the first of the shares */
	bool has_net;
	uint8_t mac[6];
	int stop_signal; /* Linux number */
};

/* Both inputs must outlive the plan. The sentence names the field or the path. */
int plan_make(struct plan *plan, const struct vmm_config *config, const struct host *host,
	      struct err *err) _must_check_;
void plan_done(struct plan *plan);

/* The configuration of the guest, less the names of its disks. Strings belong to the plan. */
void plan_fill_guest(const struct plan *plan, struct wire_config *ret_config);

#endif
