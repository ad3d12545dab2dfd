/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <errno.h>
#include <stddef.h>

#include "base/macro.h"

struct rule {
	uint8_t type;
	int (*check)(struct relay *relay, const struct wire_frame *frame, uint8_t stream,
		     enum relay_verdict *ret_verdict);
	uint8_t stream; /* of the data */
};

static int take_data(struct relay *relay, const struct wire_frame *frame, uint8_t stream,
		     enum relay_verdict *ret_verdict)
{
	if (frame->length > relay->credit[stream])
		return -EBADMSG;
	relay->credit[stream] -= (uint32_t)frame->length;
	if (frame->length == 0)
		*ret_verdict = RELAY_DROP;
	return 0;
}

static int take_credit(struct relay *relay, const struct wire_frame *frame,
		       enum relay_verdict *ret_verdict)
{
	struct wire_credit credit;
	uint32_t *open = &relay->credit[frame->stream];

	if (wire_unpack(&wire_credit_message, frame->payload, frame->length, &credit) < 0 ||
	    credit.bytes > LIMIT_WINDOW_BYTES - *open)
		return -EBADMSG;
	*open += credit.bytes;
	if (credit.bytes == 0)
		*ret_verdict = RELAY_DROP;
	return 0;
}

static bool is_output(uint8_t stream)
{
	return stream == WIRE_STREAM_STDOUT || stream == WIRE_STREAM_STDERR;
}

static int take_credit_up(struct relay *relay, const struct wire_frame *frame, uint8_t stream,
			  enum relay_verdict *ret_verdict)
{
	return is_output(frame->stream) ? take_credit(relay, frame, ret_verdict) : -EBADMSG;
}

static int take_credit_down(struct relay *relay, const struct wire_frame *frame, uint8_t stream,
			    enum relay_verdict *ret_verdict)
{
	return frame->stream == WIRE_STREAM_STDIN ? take_credit(relay, frame, ret_verdict)
						  : -EBADMSG;
}

static int take_input(struct relay *relay, const struct wire_frame *frame, uint8_t stream,
		      enum relay_verdict *ret_verdict)
{
	if (relay->input_ended)
		return -EBADMSG;
	return take_data(relay, frame, stream, ret_verdict);
}

static int take_end_up(struct relay *relay, const struct wire_frame *frame, uint8_t stream,
		       enum relay_verdict *ret_verdict)
{
	if (frame->stream != WIRE_STREAM_STDIN)
		return -EBADMSG;
	if (relay->input_ended)
		*ret_verdict = RELAY_DROP;
	relay->input_ended = true;
	return 0;
}

static int take_end_down(struct relay *relay, const struct wire_frame *frame, uint8_t stream,
			 enum relay_verdict *ret_verdict)
{
	return is_output(frame->stream) ? 0 : -EBADMSG;
}

static int take_resize(struct relay *relay, const struct wire_frame *frame, uint8_t stream,
		       enum relay_verdict *ret_verdict)
{
	struct wire_resize resize;

	return wire_unpack(&wire_resize_message, frame->payload, frame->length, &resize);
}

static int take_signal(struct relay *relay, const struct wire_frame *frame, uint8_t stream,
		       enum relay_verdict *ret_verdict)
{
	struct wire_signal signal;

	return wire_unpack(&wire_signal_message, frame->payload, frame->length, &signal);
}

static int take_exit(struct relay *relay, const struct wire_frame *frame, uint8_t stream,
		     enum relay_verdict *ret_verdict)
{
	struct wire_exited exited;

	relay->ended = true;
	return wire_unpack(&wire_exited_message, frame->payload, frame->length, &exited);
}

static int take_fail(struct relay *relay, const struct wire_frame *frame, uint8_t stream,
		     enum relay_verdict *ret_verdict)
{
	struct wire_fail fail;

	relay->ended = true;
	return wire_unpack(&wire_fail_message, frame->payload, frame->length, &fail);
}

static const struct rule up_rules[] = {
	{WIRE_STDIN, take_input, WIRE_STREAM_STDIN},
	{WIRE_CREDIT, take_credit_up, 0},
	{WIRE_RESIZE, take_resize, 0},
	{WIRE_SIGNAL, take_signal, 0},
	{WIRE_END, take_end_up, 0},
};

static const struct rule down_rules[] = {
	{WIRE_STDOUT, take_data, WIRE_STREAM_STDOUT},
	{WIRE_STDERR, take_data, WIRE_STREAM_STDERR},
	{WIRE_CREDIT, take_credit_down, 0},
	{WIRE_END, take_end_down, 0},
	{WIRE_EXIT, take_exit, 0},
	{WIRE_FAIL, take_fail, 0},
};

static int apply(const struct rule *rules, size_t count, struct relay *relay,
		 const struct wire_frame *frame, enum relay_verdict *ret_verdict)
{
	*ret_verdict = RELAY_PASS;
	if (relay->ended) {
		*ret_verdict = RELAY_DROP;
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		if (rules[i].type == frame->type)
			return rules[i].check(relay, frame, rules[i].stream, ret_verdict);
	}
	return -EBADMSG;
}

void relay_init(struct relay *relay, const struct wire_open *open)
{
	uint32_t credit = MIN(open->output_credit, LIMIT_WINDOW_BYTES);

	*relay = (struct relay){
		.credit = {[WIRE_STREAM_STDOUT] = credit, [WIRE_STREAM_STDERR] = credit},
		.input_ended = open->input_ended != 0,
	};
}

int relay_up(struct relay *relay, const struct wire_frame *frame, enum relay_verdict *ret_verdict)
{
	return apply(up_rules, ARRAY_SIZE(up_rules), relay, frame, ret_verdict);
}

int relay_down(struct relay *relay, const struct wire_frame *frame, enum relay_verdict *ret_verdict)
{
	return apply(down_rules, ARRAY_SIZE(down_rules), relay, frame, ret_verdict);
}
