/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire reader: a stream of frames, each payload read as every message. What was read must
 * survive being written and read again.
 */
#include "wire/frame.c"
#include "wire/message.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct wire_message *const messages[] = {
	&wire_hello_message,    &wire_ready_message,     &wire_exited_message,
	&wire_sentence_message, &wire_stats_message,     &wire_config_message,
	&wire_open_message,     &wire_signal_message,    &wire_shutdown_message,
	&wire_clock_message,    &wire_credit_message,    &wire_resize_message,
	&wire_fail_message,     &wire_net_ready_message, &wire_net_stats_message,
	&wire_process_message,  &wire_volume_message,
};

static void read_as(const struct wire_message *message, const struct wire_frame *frame)
{
	static uint8_t out[WIRE_FRAME_BYTES_MAX];
	static uint64_t first[8192], second[8192];
	struct wire_frame again;
	size_t used;
	long length;

	if (message->bytes > sizeof(first))
		abort();
	if (wire_unpack(message, frame->payload, frame->length, first) < 0)
		return;
	length = wire_pack(WIRE_OPEN, 0, message, first, out, sizeof(out));
	if (length < 0 || wire_frame_parse(out, (size_t)length, &again, &used) < 0 ||
	    used != (size_t)length)
		abort();
	if (wire_unpack(message, again.payload, again.length, second) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_frame frame;
	size_t used;

	while (wire_frame_parse(data, size, &frame, &used) == 0) {
		for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
			read_as(messages[i], &frame);
		data += used;
		size -= used;
	}
	return 0;
}
