/* SPDX-License-Identifier: Apache-2.0 */
/* The monotonic clock, for deadlines. Deadlines are absolute; CLOCK_NEVER is none. */
#ifndef GUEST_CLOCK_H
#define GUEST_CLOCK_H

#include <stdint.h>

#define NS_PER_S    1000000000ULL
#define NS_PER_MS   1000000ULL
#define NS_PER_US   1000ULL
#define CLOCK_NEVER UINT64_MAX

uint64_t clock_now_ns(void);

/* From now until the deadline, for poll(2): rounded up, -1 for CLOCK_NEVER. */
int clock_left_ms(uint64_t deadline_ns);

#endif
