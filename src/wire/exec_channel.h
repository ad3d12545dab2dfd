/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte of each binary message of an exec over WebSocket, as in Kubernetes' v5.channel
 * protocol. docs/openapi.yaml says what follows it.
 */
#ifndef WIRE_EXEC_CHANNEL_H
#define WIRE_EXEC_CHANNEL_H

enum exec_channel {
	EXEC_CHANNEL_STDIN = 0,
	EXEC_CHANNEL_STDOUT = 1,
	EXEC_CHANNEL_STDERR = 2,
	EXEC_CHANNEL_EXIT = 3,
	EXEC_CHANNEL_RESIZE = 4,
	EXEC_CHANNEL_CLOSE = 255, /* followed by the channel that has ended */
};

#endif
