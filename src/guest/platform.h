/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the guest's work is done: in a guest as its PID 1 (platform_guest.c, program vminit), or in an
 * ordinary process on the host (platform_fake.c, program vminit-fake, for tests only). Everything else
 * is the same code in both.
 */
#ifndef GUEST_PLATFORM_H
#define GUEST_PLATFORM_H

#include <stdbool.h>
#include <sys/types.h>

#include "failure.h"
#include "wire/message.h"

enum process_kind {
	PROCESS_WORKLOAD,
	PROCESS_SESSION,
};

/* Phases of platform_set_up(), in microseconds, for READY. */
struct set_up_times {
	uint32_t root_us;
	uint32_t network_us;
};

/* Sentences about what went wrong and does not stop the machine: WARNING on control. */
void control_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Root, network, hostname, clock. 0, or -1 with the sentence: the machine ends with its code. */
int platform_set_up(const struct wire_config *config, struct set_up_times *ret_times,
		    struct failure *failure);

/*
 * A new connection for a session, non-blocking; *ret_connecting: it is not there yet. `port` is the
 * virtio-serial port where the transport has them. -errno; -EAGAIN: again in a moment.
 */
int platform_session_dial(uint32_t port, bool *ret_connecting);

/* Sessions live on ports that are named by the host and stay open. */
bool platform_has_session_ports(void);

void platform_clock_set(uint64_t realtime_ns);

/* As spawn_copy() and spawn() (spawn.h), in the control group of its kind. -errno. */
pid_t platform_fork(enum process_kind kind);
pid_t platform_spawn(enum process_kind kind, void (*run)(void *argument), void *argument,
		     void *stack, size_t stack_bytes);

/* The user a process without one runs as: "0" in a guest, NULL for "stays who it is". */
const char *platform_default_user(void);

/* How many processes of this kind the kernel has killed for want of memory. */
uint64_t platform_oom_kills(enum process_kind kind);

void platform_stats_read(struct wire_stats *ret_stats);

/* Every process but this one. */
void platform_kill_all(void);

/* The end: nothing of ours runs any more. */
void platform_end(uint32_t code) __attribute__((noreturn));

#endif
