/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real krun-vmm with the fake backend, in a directory of its own, and its control socket. Every
 * wait ends with an event or fails the test at a deadline.
 */
#ifndef TEST_VMM_RIG_H
#define TEST_VMM_RIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "machine/record.h"
#include "wire/message.h"

#define RIG_ID "01890000-0000-7000-8000-0123456789ab"

struct rig {
	char *directory; /* machine_dir and run_dir are "m" and "r" below it */
	int listen_fd;   /* kept, so that a test can see who answers */
	pid_t pid;       /* of the supervisor; 0: reaped */
	int status;
};

struct rig_connection {
	int fd;
	struct buf in;
	struct wire_frame frame; /* the last one, into `in` */
	size_t used;
};

/* A NULL-terminated list of words is the workload; `extra` are more JSON members, with a comma. */
void rig_make(struct rig *rig);
void rig_start(struct rig *rig, const char *extra, const char *const *exec);
void rig_done(struct rig *rig);

/* A file below the rig's directory, on the heap. */
char *rig_path(const struct rig *rig, const char *name);

/* Waits for the supervisor's end and returns its wait status. */
int rig_wait(struct rig *rig);

void rig_connect(struct rig *rig, struct rig_connection *connection, enum wire_role role);
void rig_close(struct rig_connection *connection);
void rig_send(struct rig_connection *connection, enum wire_type type, uint8_t stream,
	      const struct wire_message *message, const void *from);
void rig_send_data(struct rig_connection *connection, enum wire_type type, uint8_t stream,
		   const void *data, size_t length);

/* The next frame; false at the end of the connection. */
bool rig_next(struct rig_connection *connection);

/* Reads STATEs until this state; any record before it that is an end fails the test. */
void rig_await_state(struct rig_connection *connection, enum machine_state state,
		     struct machine_record *record);

void rig_load_exit(const struct rig *rig, struct machine_record *record);

/* All of the log's text of one stream, put together, oldest file first. */
void rig_read_log(const struct rig *rig, const char *stream, struct buf *out);

/* Opens a session for the words, with credit for its outputs. */
void rig_open(struct rig *rig, struct rig_connection *connection, const char *const *exec);
/* On a connection whose session has ended with EXIT. */
void rig_open_again(struct rig_connection *connection, const char *const *exec);

#endif
