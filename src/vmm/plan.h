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
#define PLAN_DISKS_MAX     (LIMIT_VOLUMES + 2)
#define PLAN_ROOT_TAG      "root"
#define PLAN_FILE_NAME     "file"
#define PLAN_SHARED_FILES  "shares" /* below the machine's directory: directories of single files */
#define PLAN_SESSION_PORTS LIMIT_SESSION_PORTS
#define PLAN_PORTS_AT_BOOT 1 /* the other session ports are plugged when they are needed */

/*
 * A directory of the host in the guest, by virtiofs. For a single file it is a directory made for it,
 * in which nothing but this file is, as PLAN_FILE_NAME (share_file.h).
 */
struct plan_share {
	char tag[8]; /* PLAN_ROOT_TAG, "vol0", "vol1", ... */
	char *path;  /* absolute, no symlinks */
	char *file;  /* the single file; NULL: all of the directory */
	bool read_only;
};

/* A disk of the guest: a file with an ext4 file system in it. */
struct plan_disk {
	char id[8];       /* "image", "disk", "vol0", "vol1", ... */
	const char *path; /* not owned */
	bool read_only;
};

/* What the guest mounts where, in this order: one below another comes after it. */
struct plan_volume {
	const char *guest_path; /* not owned */
	bool read_only;
	int share, disk; /* indices of one of these; the other one is -1 */
};

struct plan {
	const struct vmm_config *config; /* not owned */
	const struct host *host;         /* not owned */
	struct plan_share shares[PLAN_SHARES_MAX];
	size_t share_count;
	struct plan_disk disks[PLAN_DISKS_MAX];
	size_t disk_count;
	struct plan_volume volumes[LIMIT_VOLUMES];
	size_t volume_count;
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

/* These names, where the first of the plan's disks is the guest's `first`th, counted from 0. */
void plan_fill_disks(const struct plan *plan, size_t first, struct wire_config *config);

#endif
