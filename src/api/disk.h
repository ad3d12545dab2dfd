/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines' own disks, and volumes. krun-image makes an empty one of each size once, as a template in
 * cache/; a machine gets a clone of it. Both are done off the loop.
 */
#ifndef API_DISK_H
#define API_DISK_H

struct server;

void disks_init(struct server *server);
void disks_done(struct server *server);

enum disk_kind {
	DISK_MACHINE,
	DISK_VOLUME, /* nothing in it */
};

/* `sentence` is NULL on success; else nothing is left at `path`. `done` is never called from within. */
void disk_make(struct server *server, enum disk_kind kind, long long size_mib, const char *path,
	       void (*done)(void *user, int outcome, const char *sentence), void *user);

#endif
