/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket towards krun-vmm: wire frames out; STATS_ASK and end of file in.
 *
 * What must arrive (HELLO, NET_READY, FAIL) is written before the loop runs, with a deadline. What
 * may be lost (WARNING, NET_STATS) goes through a small buffer, whole frames only, and is dropped
 * when krun-vmm does not read.
 */
#ifndef NET_CONTROL_H
#define NET_CONTROL_H

#include "base/err.h"
#include "pollset.h"
#include "publish.h"
#include "wire/message.h"

#define CONTROL_BUFFER_BYTES 4096
#define CONTROL_INPUT_BYTES  256 /* krun-vmm has only short things to say */

struct control {
	int fd;
	int index;        /* in this turn's pollset */
	bool stats_asked; /* the reader clears it */
	size_t queued, taken;
	uint8_t buffer[CONTROL_BUFFER_BYTES];
	uint8_t input[CONTROL_INPUT_BYTES];
};

/* 0 or a negative errno: nobody is there any more. */
int control_say_hello(struct control *control) _must_check_;
int control_say_ready(struct control *control, const struct published_ports *ports) _must_check_;
int control_say_failed(struct control *control, const char *sentence) _must_check_;

void control_warn(struct control *control, const char *fmt, ...) _printf_(2, 3);
void control_send_stats(struct control *control, const struct wire_net_stats *stats);

void control_fill(struct control *control, struct pollset *set);

/* Reads and writes. -EPIPE when krun-vmm has gone, or speaks what is no frame of ours. */
int control_poll(struct control *control, const struct pollset *set) _must_check_;

#endif
