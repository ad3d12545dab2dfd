/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals of the guest, which is always Linux whatever the host is: the numbers that travel in
 * messages are Linux's (signal(7), the same on x86_64 and arm64), not the host's.
 */
#ifndef WIRE_SIGNAL_H
#define WIRE_SIGNAL_H

#define WIRE_SIGHUP  1
#define WIRE_SIGINT  2
#define WIRE_SIGKILL 9
#define WIRE_SIGTERM 15

#define WIRE_SIGNAL_MAX 64

/* "SIGTERM", "TERM" or "15". -EINVAL for anything else and for numbers outside 1..64. */
int wire_signal_parse(const char *text);

/* "SIGTERM", or NULL for a number without a name (real-time signals have none). */
const char *wire_signal_name(int number);

#endif
