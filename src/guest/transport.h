/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the host: AF_VSOCK under libkrun, named virtio-serial ports under QEMU. Whichever device
 * is there when the control connection is dialled is used from then on.
 */
#ifndef GUEST_TRANSPORT_H
#define GUEST_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#define TRANSPORT_CONTROL_PORT 10000 /* of vsock */
#define TRANSPORT_SESSION_PORT 10001

/* A non-blocking descriptor, or -errno when the host cannot be reached in time. */
int transport_dial_control(void);

/*
 * The same for a session; `port` counts on virtio-serial. -EAGAIN: the host has plugged this port and
 * the kernel has not found it yet, or not its other end.
 */
int transport_dial_session(uint32_t port, bool *ret_connecting);

bool transport_has_session_ports(void);

#endif
