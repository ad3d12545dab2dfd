/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame that carries every message between our processes and between host and guest:
 *
 *	u32 length	of what follows, little-endian: 4 + payload, payload at most 64 KiB
 *	u8  type	enum wire_type
 *	u8  stream	enum wire_stream where the type has one, else 0
 *	u16 reserved	0; ignored by readers
 *	payload
 *
 * The payload of a message that is a structure is a sequence of `u16 tag, u32 length, bytes`;
 * unknown tags are skipped, so old and new versions talk (message.h). Pure: no I/O, no allocation.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "wire/limits.h"

#define WIRE_VERSION         1
#define WIRE_HEAD_BYTES      8
#define WIRE_FRAME_BYTES_MAX (WIRE_HEAD_BYTES + LIMIT_PAYLOAD_BYTES)

enum wire_type {
	/* First message of each side on every connection. */
	WIRE_HELLO = 0x01,

	/*
	 * Guest control connection, guest to host. The host answers EXITED with END of WIRE_STREAM_ALL:
	 * on virtio-serial the guest ends when it has that.
	 */
	WIRE_READY = 0x10,   /* struct wire_ready: the workload runs */
	WIRE_OUTPUT = 0x11,  /* stream stdout or stderr; u64 guest monotonic ns, then bytes */
	WIRE_EXITED = 0x12,  /* struct wire_exited: the workload ended, or could not be started */
	WIRE_WARNING = 0x13, /* struct wire_sentence; also from krun-vmm to its managers */
	WIRE_STATS = 0x14,   /* struct wire_stats */

	/*
	 * Guest control connection, host to guest. SIGNAL also on control sockets and sessions,
	 * STATS_ASK also on control sockets and towards krun-net; it is empty.
	 */
	WIRE_CONFIG = 0x20,   /* struct wire_config */
	WIRE_OPEN = 0x21,     /* struct wire_open: start a session */
	WIRE_SIGNAL = 0x22,   /* struct wire_signal: to the workload or the session's process */
	WIRE_SHUTDOWN = 0x23, /* struct wire_shutdown */
	WIRE_CLOCK = 0x24,    /* struct wire_clock */
	WIRE_STATS_ASK =
		0x25, /* answered with STATS; krun-net: NET_STATS; krun-vmm: MACHINE_STATS */

	/*
	 * Sessions. Data frames are raw bytes, at most as many as the receiver gave credit for, in OPEN
	 * and by CREDIT. The guest's last frame is EXIT or FAIL, which also end its outputs; the host
	 * answers it with END of WIRE_STREAM_ALL, its own last frame, after which the connection (the
	 * virtio-serial port) is free. Or a connection waits, as long as the host likes, for its next
	 * session: then OPEN comes on it. What was still under way is forgotten.
	 */
	WIRE_STDIN = 0x30,
	WIRE_STDOUT = 0x31,
	WIRE_STDERR = 0x32,
	WIRE_CREDIT = 0x33, /* stream; struct wire_credit */
	WIRE_RESIZE = 0x34, /* struct wire_resize */
	WIRE_END = 0x36,    /* stream: no more data in it; WIRE_STREAM_ALL: no more frames */
	WIRE_EXIT = 0x37,   /* struct wire_exited */
	WIRE_FAIL = 0x38,   /* struct wire_fail: the session could not be started */
	WIRE_HANGUP = 0x39, /* host to guest: the client is gone; SIGHUP, then SIGKILL */

	/* Control socket between krun-api and krun-vmm (control.h). */
	WIRE_STATE = 0x50,         /* krun-vmm: a record (machine/record.h) as JSON text */
	WIRE_LOGGED = 0x51,        /* krun-vmm: the log has grown; empty */
	WIRE_MACHINE_STATS = 0x52, /* krun-vmm, when asked: struct wire_machine_stats */
	WIRE_STOP = 0x58,          /* krun-api: struct wire_shutdown */
	WIRE_KILL = 0x59,          /* krun-api: end the VM process now; empty */

	/* Control socket between krun-vmm and krun-net. FAIL and WARNING too. */
	WIRE_NET_READY = 0x60, /* struct wire_net_ready */
	WIRE_NET_STATS = 0x61, /* struct wire_net_stats */
};

enum wire_stream {
	WIRE_STREAM_STDIN = 0,
	WIRE_STREAM_STDOUT = 1,
	WIRE_STREAM_STDERR = 2,
	WIRE_STREAM_ALL = 255,
};

struct wire_frame {
	uint8_t type;
	uint8_t stream;
	const uint8_t *payload; /* into the parsed bytes */
	size_t length;
};

/*
 * Reads the frame at the front of `data`. 0 and `ret_used` bytes taken; -EAGAIN when it is not whole
 * yet; -EBADMSG when its length is impossible: the peer loses its connection.
 */
int wire_frame_parse(const uint8_t *data, size_t length, struct wire_frame *ret_frame,
		     size_t *ret_used);

/* Length of the frame whose head begins with these four bytes, if wire_frame_parse() finds it possible. */
size_t wire_frame_bytes(const uint8_t *head);

/* Writes the head of a frame with a payload of `length` <= LIMIT_PAYLOAD_BYTES bytes. */
void wire_frame_head(uint8_t ret_head[WIRE_HEAD_BYTES], enum wire_type type, uint8_t stream,
		     size_t length);

uint16_t wire_get_u16(const uint8_t *p);
uint32_t wire_get_u32(const uint8_t *p);
uint64_t wire_get_u64(const uint8_t *p);
void wire_put_u16(uint8_t *p, uint16_t value);
void wire_put_u32(uint8_t *p, uint32_t value);
void wire_put_u64(uint8_t *p, uint64_t value);

#endif
