/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key of a WebSocket handshake and the answer that proves the server has read it as one (RFC 6455
 * §4): base64 of a SHA-1, which is here because a library that has it costs more to load than the
 * whole call. It proves that this is WebSocket and is no protection against anybody.
 */
#ifndef CLI_HANDSHAKE_H
#define CLI_HANDSHAKE_H

#include <stddef.h>

#define HANDSHAKE_KEY_BYTES    25 /* base64 of 16 bytes, and a NUL */
#define HANDSHAKE_ACCEPT_BYTES 29 /* base64 of 20 bytes, and a NUL */

void handshake_make_key(char ret_key[HANDSHAKE_KEY_BYTES]);

/* What the server must answer. */
void handshake_accept(const char key[HANDSHAKE_KEY_BYTES], char ret_accept[HANDSHAKE_ACCEPT_BYTES]);

#endif
