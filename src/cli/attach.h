/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standing in for a machine in this terminal or service manager: its output is ours, stream by
 * stream and byte by byte; an interrupt here stops it; its exit code becomes ours.
 *
 * The first SIGINT, SIGTERM or SIGHUP asks for the machine's stop as its configuration says, the
 * next kills it. An output of ours that nobody reads any more stops it too.
 * A server that goes away is looked for again for ATTACH_LOST_S: machines outlive it.
 */
#ifndef CLI_ATTACH_H
#define CLI_ATTACH_H

#include "base/err.h"
#include "client.h"
#include "progress.h"

#define ATTACH_LOST_S 60

struct attach;

/*
 * From here on signals are kept for the machine. Called before it is created, so that none of them
 * is lost; one that comes before attach_run() takes effect there.
 */
int attach_new(struct client *client, struct progress *progress, struct attach **ret_attach,
	       struct err *err) _must_check_;
void attach_free(struct attach *attach);

/*
 * Follows the machine to its end. A step of `progress` that is under way ends as soon as the machine
 * is ready or prints something. The exit code, or a negative errno when it was lost from
 * sight.
 */
int attach_run(struct attach *attach, const char *id, struct err *err) _must_check_;

static inline void cleanup_attach(struct attach **attach)
{
	attach_free(*attach);
}

#endif
