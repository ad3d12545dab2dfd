/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client behind its handshake that sends any bytes, to a command that is made up: frames, messages,
 * channels. The first three bytes of an input say how the rest is cut, how much input the command
 * takes at a time, and what it does meanwhile. Whatever comes, the session gets no more than it takes,
 * is paid no more than it sent, and is gone when the client is.
 */
#include "../../unit/api/exec_ws_rig.h"
#include "websocket.c"

#define PENDING_MAX (EXEC_INPUT_BYTES_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bounds(void)
{
	struct exec_ws *ws = rig.request == NULL ? NULL : rig.request->data;

	assert(ws == NULL || ws->input.length <= PENDING_MAX);
	assert(ws == NULL || ws->session == rig.session);
}

/* One of the things that a guest may do. */
static void guest_acts(unsigned what, size_t room)
{
	static const char output[100];

	if (rig.session == NULL)
		return;
	switch (what % 5) {
	case 0:
		rig_output(WIRE_STREAM_STDOUT, output, 1 + room % sizeof(output));
		break;
	case 1:
		rig.queued = room;
		rig_output(WIRE_STREAM_STDERR, output, 1);
		break;
	case 2:
		rig.queued = 0;
		rig.request->on_drain(rig.request);
		break;
	case 3:
		rig.session->has_room = !rig.session->has_room;
		break;
	default:
		if (what > 250)
			rig_exit(&(struct session_end){.outcome = SESSION_EXITED});
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece, room, at = 3;

	if (size < 4)
		return 0;
	piece = data[0] * 4U + 1;
	room = data[1] * 16U;
	rig_begin(room);
	while (rig.request != NULL && at < size) {
		size_t length = MIN(piece, size - at);

		at += rig_feed(data + at, length);
		check_bounds();
		guest_acts(data[2] + (unsigned)at, room);
		check_bounds();
		if (rig.request == NULL || !rig.paused)
			continue;
		if (rig.session == NULL)
			break; /* cannot be: only a session holds its client back */
		rig.session->has_room = true;
		rig_make_room(room + 1);
		check_bounds();
	}
	rig_end();
	return 0;
}
