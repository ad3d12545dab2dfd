/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libslirp, and the only file that knows it: TCP, UDP and ICMP between the guest's packets and the
 * host's sockets.
 *
 * libslirp would give out addresses, advertise routes, answer DNS and serve files: all of that is
 * off. It knows the guest's MAC address from the start (gate_introduce4/6), so it asks for nothing.
 * Its idea of the gateway is the host's loopback; that nobody gets there is policy.h's doing.
 *
 * One turn of the loop: stack_fill(), poll(2), stack_poll(), then stack_input() for new frames. It
 * reads the clock only in the first two, so a turn comes before the first input.
 */
#ifndef NET_STACK_H
#define NET_STACK_H

#include <sys/socket.h>

#include "gate.h"
#include "pollset.h"

struct stack;

/* A frame towards the guest; valid during the call. */
typedef void (*stack_output_fn)(const uint8_t *frame, size_t length, void *opaque);

/* NULL when libslirp refuses, which it does only for a bad configuration. */
struct stack *stack_new(const struct gate *gate, size_t mtu, stack_output_fn output, void *opaque);
void stack_free(struct stack *stack);

/*
 * Listens at `host` (port 0: one is chosen) for the guest's `guest_port`. `ret_port` is the real host
 * port. Negative errno: -EADDRINUSE and so on.
 */
int stack_publish(struct stack *stack, const struct sockaddr *host, uint16_t guest_port,
		  bool is_udp, uint16_t *ret_port) __attribute__((warn_unused_result));

void stack_fill(struct stack *stack, struct pollset *set, int64_t now_ms);

/* Only its timers: its sockets wait until the guest has taken what is queued for it. */
void stack_fill_paused(struct stack *stack, struct pollset *set, int64_t now_ms);

void stack_poll(struct stack *stack, const struct pollset *set);
void stack_input(struct stack *stack, const uint8_t *frame, size_t length, int64_t now_ms);

/* Sockets that were polled in this turn, and whether there is room for another. */
bool stack_is_full(const struct stack *stack);

/* Does a socket that was polled in this turn have this local TCP port? */
bool stack_has_port(const struct stack *stack, const struct pollset *set, uint16_t port);

#endif
