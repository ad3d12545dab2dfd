/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every limit on what crosses a boundary: guest to host, process to process, client to server. A
 * client or a guest can grow nothing that has no line here.
 */
#ifndef WIRE_LIMITS_H
#define WIRE_LIMITS_H

#define KIB (1024UL)
#define MIB (1024UL * KIB)

/* Frames (frame.h). */
#define LIMIT_PAYLOAD_BYTES  (64 * KIB)  /* of one frame */
#define LIMIT_WINDOW_BYTES   (256 * KIB) /* unacknowledged data of one stream of a session */
#define LIMIT_SENTENCE_BYTES 900         /* a reason or warning in a message */

/* A process in the guest: the workload or an exec. One frame holds it all. */
#define LIMIT_ARGS          512
#define LIMIT_ENV           512
#define LIMIT_PROCESS_BYTES (56 * KIB) /* arguments, environment, directory, user together */

/* A machine. */
#define LIMIT_NAME_BYTES       63
#define LIMIT_HOSTNAME_BYTES   63
#define LIMIT_PATH_BYTES       1023
#define LIMIT_VCPUS_MAX        16 /* NR_CPUS of libkrunfw's kernel */
#define LIMIT_MEMORY_MIB_MIN   128
#define LIMIT_MEMORY_MIB_MAX   (1024 * 1024)
#define LIMIT_DISK_MIB_MIN     16
#define LIMIT_DISK_MIB_MAX     (16 * 1024 * 1024)
#define LIMIT_VOLUMES          16
#define LIMIT_PORTS            64
#define LIMIT_ALLOW_RULES      256
#define LIMIT_ALLOW_RULE_BYTES 270 /* "*." and a DNS name, ":" and a port */
#define LIMIT_DNS_SERVERS      3
#define LIMIT_LABELS           64
#define LIMIT_LABEL_BYTES      1024

/* Sessions of one machine. virtio-serial ports are what qemu has of them. */
#define LIMIT_SESSIONS      64
#define LIMIT_SESSION_PORTS 16

/* Managers (krun-api and others) on one control socket. */
#define LIMIT_CONTROL_CLIENTS (LIMIT_SESSIONS + 8)

/* JSON configuration of krun-vmm and krun-net on standard input, and a record on disk. */
#define LIMIT_CONFIG_BYTES (1 * MIB)
#define LIMIT_RECORD_BYTES (32 * KIB)

/* Ethernet between guest and krun-net. */
#define LIMIT_FRAME_BYTES 65550 /* a longer one makes libkrun's VM process abort */
#define LIMIT_MTU         65520

#endif
