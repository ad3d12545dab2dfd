/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a frame, and the loop that moves them.
 *
 *	guest: frames -> gate -> flow known? -> policy -> (dns | libslirp)
 *	host:  libslirp -> gate -> flow known, or begun by a published port? -> frames
 *
 * Nothing that the guest does makes this process allocate memory, except inside libslirp, whose
 * sockets are bounded by the limit of open files. When the guest does not take its frames, libslirp's
 * sockets are not read, so TCP slows down at its source; what still comes pushes out the oldest.
 */
#ifndef NET_RELAY_H
#define NET_RELAY_H

#include "control.h"
#include "dns.h"
#include "dns_stream.h"
#include "flow.h"
#include "frames.h"
#include "gate.h"
#include "policy.h"
#include "pollset.h"
#include "publish.h"
#include "stack.h"

struct relay {
	int frames_fd;
	int frames_index;
	int lost; /* negative errno once the guest's side is gone */
	int64_t now_ms;
	unsigned refusals_logged;
	struct control *control;
	struct stack *stack;
	struct wire_net_stats stats;
	struct published_ports published;
	struct gate gate;
	struct policy policy;
	struct dns dns;
	struct dns_streams dns_streams;
	struct pollset set;
	struct flow_table flows;
	struct frames_reader reader;
	struct frames_queue queue;
};

/* A frame from libslirp; a stack_output_fn. */
void relay_output(const uint8_t *frame, size_t length, void *relay);

/* An answer of the resolver; a dns_output_fn. */
void relay_output_dns(bool is_ip6, uint16_t guest_port, const uint8_t *message, size_t length,
		      void *relay);

/* Runs until either peer is gone (0), or the guest's stream is not one of frames (-EBADMSG). */
int relay_run(struct relay *relay) _must_check_;

#endif
