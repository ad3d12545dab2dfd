/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/frame.h"

#include <assert.h>
#include <errno.h>

/* Bytes of the head that the length field counts: type, stream, reserved. */
#define COUNTED_HEAD_BYTES 4

uint16_t wire_get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t wire_get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t wire_get_u64(const uint8_t *p)
{
	return wire_get_u32(p) | (uint64_t)wire_get_u32(p + 4) << 32;
}

void wire_put_u16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

void wire_put_u32(uint8_t *p, uint32_t value)
{
	wire_put_u16(p, (uint16_t)value);
	wire_put_u16(p + 2, (uint16_t)(value >> 16));
}

void wire_put_u64(uint8_t *p, uint64_t value)
{
	wire_put_u32(p, (uint32_t)value);
	wire_put_u32(p + 4, (uint32_t)(value >> 32));
}

size_t wire_frame_bytes(const uint8_t *head)
{
	return WIRE_HEAD_BYTES - COUNTED_HEAD_BYTES + (size_t)wire_get_u32(head);
}

int wire_frame_parse(const uint8_t *data, size_t length, struct wire_frame *ret_frame,
		     size_t *ret_used)
{
	uint32_t counted;

	if (length < WIRE_HEAD_BYTES - COUNTED_HEAD_BYTES)
		return -EAGAIN;
	counted = wire_get_u32(data);
	if (counted < COUNTED_HEAD_BYTES || counted > COUNTED_HEAD_BYTES + LIMIT_PAYLOAD_BYTES)
		return -EBADMSG;
	if (length < wire_frame_bytes(data))
		return -EAGAIN;
	*ret_frame = (struct wire_frame){
		.type = data[4],
		.stream = data[5],
		.payload = data + WIRE_HEAD_BYTES,
		.length = counted - COUNTED_HEAD_BYTES,
	};
	*ret_used = wire_frame_bytes(data);
	return 0;
}

void wire_frame_head(uint8_t ret_head[WIRE_HEAD_BYTES], enum wire_type type, uint8_t stream,
		     size_t length)
{
	assert(length <= LIMIT_PAYLOAD_BYTES);
	wire_put_u32(ret_head, (uint32_t)(COUNTED_HEAD_BYTES + length));
	ret_head[4] = (uint8_t)type;
	ret_head[5] = stream;
	wire_put_u16(ret_head + 6, 0);
}
