/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may pass between a client and its session in the guest. Pure: the credit of each stream and
 * the rules for each frame, both ways. Neither side is trusted: the guest is hostile, and a client
 * must not be able to grow the supervisor.
 *
 * Up (client to guest): STDIN within the guest's credit, CREDIT for the outputs, RESIZE, SIGNAL, END
 * of standard input. Down: STDOUT and STDERR within the client's credit, CREDIT for standard input,
 * END of the outputs, at last EXIT or FAIL. Credit that is open is never more than a window.
 */
#ifndef VMM_RELAY_H
#define VMM_RELAY_H

#include <stdbool.h>

#include "wire/message.h"

struct relay {
	uint32_t credit[3]; /* by enum wire_stream: what the sender of the stream may still send */
	bool input_ended;   /* END of standard input has passed */
	bool ended;         /* EXIT or FAIL has passed */
};

enum relay_verdict {
	RELAY_PASS,
	RELAY_DROP, /* says nothing: an empty frame, what comes too late */
};

/* The credit and the end of input that OPEN may hold; at most a window. */
void relay_init(struct relay *relay, const struct wire_open *open);

/* -EBADMSG: the sender has erred and loses its connection. */
int relay_up(struct relay *relay, const struct wire_frame *frame, enum relay_verdict *ret_verdict);
int relay_down(struct relay *relay, const struct wire_frame *frame,
	       enum relay_verdict *ret_verdict);

#endif
