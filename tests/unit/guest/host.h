/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of the guest channel, for tests: starts vminit-fake and speaks with it. Every wait
 * has a deadline and fails the test when it passes. Used within a cmocka test only.
 */
#ifndef TEST_GUEST_HOST_H
#define TEST_GUEST_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <sys/types.h>

#include "wire/message.h"
#include "wire/signal.h"

struct peer {
	int fd;
	size_t start, end;
	uint8_t in[2 * WIRE_FRAME_BYTES_MAX];
};

/* The next frame, valid until the next call; false: end of file. */
bool peer_next(struct peer *peer, struct wire_frame *ret_frame);
/* The next frame of this type; those before it are passed over. It must come. */
void peer_expect(struct peer *peer, enum wire_type type, struct wire_frame *ret_frame);
void peer_send(struct peer *peer, enum wire_type type, uint8_t stream,
	       const struct wire_message *message, const void *from);
void peer_send_data(struct peer *peer, enum wire_type type, uint8_t stream, const void *data,
		    size_t length);
void peer_credit(struct peer *peer, uint8_t stream, uint32_t bytes);
void peer_close(struct peer *peer);

struct host {
	pid_t pid;
	int listener;
	char directory[64];
	char session_path[96];
	struct peer control;
};

/* Starts vminit-fake and takes its HELLO. */
void host_start(struct host *host);
void host_configure(struct host *host, const struct wire_process *process);
/* Both, for a shell script as the workload, up to READY. */
void host_run(struct host *host, const char *script);
void host_shutdown(struct host *host, uint32_t signal, uint32_t timeout_ms);

/* Text of stdout (and stderr, if given) until EXITED, which is returned. At most `size` - 1 are kept. */
struct wire_exited host_read_output(struct host *host, char *ret_stdout, size_t size,
				    size_t *ret_total);
struct wire_exited host_read_exited(struct host *host);

/* OPEN, and the connection on which the guest said HELLO with this session. */
void host_open(struct host *host, const struct wire_open *open, struct peer *ret_session);
/* The same on the connection of a session whose EXIT has come. */
void host_open_again(struct peer *session, const struct wire_open *open);
void host_open_shell(struct host *host, uint32_t id, const char *script, struct peer *ret_session);

/* Waits for the end of vminit-fake; its exit status. Leaves nothing behind. */
int host_finish(struct host *host);

/* Waits until a process is gone. */
void host_wait_gone(pid_t pid);

/* Until EXIT: what came on stdout, granting credit on the way. Answers with END. */
struct wire_exited session_read(struct peer *session, char *ret_stdout, size_t size,
				size_t *ret_total);
/* Until FAIL: its code; the sentence is copied. Answers with END. */
uint32_t session_read_fail(struct peer *session, char *ret_text, size_t size);

#endif
