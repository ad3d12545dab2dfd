/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one object that everything in this process hangs on. It is made by main.c, used on the loop's
 * thread only, and outlives all the others.
 */
#ifndef API_SERVER_H
#define API_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "auth.h"
#include "machine.h"
#include "machines.h"
#include "metrics.h"
#include "settings.h"
#include "volumes.h"

struct children;
struct connection;
struct disks;
struct events;
struct idempotency;
struct listener;
struct store;
struct turns;

struct server {
	uv_loop_t *loop;
	const struct settings *settings;
	struct store *store;
	struct auth auth;

	/* Clients. */
	struct listener *listeners;
	struct connection *connections;
	size_t connection_count;
	char request_prefix[9]; /* tells this process's requests from those of others */
	uint32_t request_count;

	/* Of one read(2), for whoever reads just now; nothing in it outlives a callback. */
	char *read_buffer; /* HTTP_READ_BYTES */
	char *log_buffer;  /* LOGS_SLICE_BYTES */

	/* Below the state directory. */
	char *machines_dir, *images_dir, *volumes_dir, *cache_dir, *tmp_dir;

	struct machines machines;
	struct volumes volumes;
	struct children *children;
	struct disks *disks;
	struct turns *turns;
	struct events *events;
	struct idempotency *idempotency; /* calls in progress */
	unsigned import_count;
	struct metrics metrics;
	struct probe *probe;

	size_t adopting; /* machines whose state is not known yet */
	void (*on_adopted)(struct server *server);
	bool is_ready; /* everything is adopted and clients are served */
	bool is_stopping;
	int64_t started_at;
};

#endif
