/*
 * What bare_vmm and bare_init say to each other: one byte asks, one byte answers.
 *
 * The guest dials the host's vsock port and sends BARE_READY. Then the host asks and the guest answers in order, until
 * BARE_QUIT, which the guest answers by leaving BARE_EXIT_CODE as the exit status of the VM process. For BARE_ECHO and
 * BARE_STREAM the guest first dials once more and runs itself as /echo or /stream, which writes one byte or
 * BARE_STREAM_BYTES to that connection: what a session is made of, and nothing else. BARE_ROOT makes the
 * root of a machine of the product the guest's: the programs then come from the same file system.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#define BARE_VSOCK_PORT 10000
#define BARE_READY      'R'
#define BARE_PING       'P'
#define BARE_EXEC       'E'
#define BARE_ROOT       'O'
#define BARE_ECHO       'C'
#define BARE_STREAM     'S'
#define BARE_QUIT       'Q'
#define BARE_EXIT_CODE  7

#define BARE_STREAM_BYTES (32u << 20)

#endif
