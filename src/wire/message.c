/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/message.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define FIELD_HEAD_BYTES 6 /* u16 tag, u32 length */

enum field_type {
	FIELD_U32,
	FIELD_U64,
	FIELD_STRING,  /* const char * */
	FIELD_STRINGS, /* const char *[max + 1], one tag each */
	FIELD_U32S,    /* uint32_t[max] with a count, one tag each */
	FIELD_STRUCT,  /* nested message */
	FIELD_STRUCTS, /* array of nested messages with a count, one tag each */
};

struct wire_field {
	uint16_t tag;
	enum field_type type;
	size_t offset;
	bool required;
	size_t max;          /* STRINGS, U32S, STRUCTS */
	size_t count_offset; /* U32S, STRUCTS */
	const struct wire_message *inner;
};

struct wire_message {
	size_t bytes; /* of the struct */
	const struct wire_field *fields;
	size_t field_count;
};

#define MESSAGE(name, ...)                                                                         \
	static const struct wire_field name##_fields[] = {__VA_ARGS__};                            \
	const struct wire_message wire_##name##_message = {sizeof(struct wire_##name),             \
							   name##_fields,                          \
							   sizeof(name##_fields) /                 \
								   sizeof(name##_fields[0])}

#define AT(name, member)    .offset = offsetof(struct wire_##name, member)
#define COUNT(name, member) .count_offset = offsetof(struct wire_##name, member)

/* Tags are part of the protocol: never reused for something else. */
/* clang-format off */
MESSAGE(hello,
	{1, FIELD_U32, AT(hello, version), .required = true},
	{2, FIELD_U32, AT(hello, role), .required = true},
	{3, FIELD_U32, AT(hello, session)},
	{4, FIELD_U64, AT(hello, uptime_us)},
	{5, FIELD_STRING, AT(hello, kernel)},
	{6, FIELD_STRING, AT(hello, machine_id)},
	{7, FIELD_U32, AT(hello, generation)});

MESSAGE(ready,
	{1, FIELD_U32, AT(ready, root_us)},
	{2, FIELD_U32, AT(ready, network_us)},
	{3, FIELD_U32, AT(ready, start_us)});

MESSAGE(exited,
	{1, FIELD_U32, AT(exited, code), .required = true},
	{2, FIELD_U32, AT(exited, signal)},
	{3, FIELD_U32, AT(exited, oom_killed)},
	{4, FIELD_STRING, AT(exited, reason)});

MESSAGE(sentence,
	{1, FIELD_STRING, AT(sentence, text), .required = true});

MESSAGE(stats,
	{1, FIELD_U64, AT(stats, cpu_us)},
	{2, FIELD_U64, AT(stats, memory_total_bytes)},
	{3, FIELD_U64, AT(stats, memory_available_bytes)},
	{4, FIELD_U64, AT(stats, disk_read_bytes)},
	{5, FIELD_U64, AT(stats, disk_written_bytes)},
	{6, FIELD_U64, AT(stats, root_total_bytes)},
	{7, FIELD_U64, AT(stats, root_available_bytes)});

MESSAGE(process,
	{1, FIELD_STRINGS, AT(process, argv), .max = LIMIT_ARGS},
	{2, FIELD_STRINGS, AT(process, env), .max = LIMIT_ENV},
	{3, FIELD_STRING, AT(process, workdir)},
	{4, FIELD_STRING, AT(process, user)},
	{5, FIELD_U32, AT(process, tty)},
	{6, FIELD_U32, AT(process, rows)},
	{7, FIELD_U32, AT(process, columns)});

MESSAGE(volume,
	{1, FIELD_STRING, AT(volume, virtiofs_tag)},
	{2, FIELD_STRING, AT(volume, guest_path), .required = true},
	{3, FIELD_U32, AT(volume, read_only)},
	{4, FIELD_STRING, AT(volume, device)},
	{5, FIELD_STRING, AT(volume, source)});

MESSAGE(config,
	{1, FIELD_U32, AT(config, root_kind), .required = true},
	{2, FIELD_STRING, AT(config, lower_device)},
	{3, FIELD_STRING, AT(config, upper_device)},
	{4, FIELD_STRING, AT(config, root_tag)},
	{5, FIELD_STRUCTS, AT(config, volumes), .max = LIMIT_VOLUMES,
	 COUNT(config, volume_count), .inner = &wire_volume_message},
	{6, FIELD_STRING, AT(config, hostname)},
	{7, FIELD_STRING, AT(config, address)},
	{8, FIELD_STRING, AT(config, gateway)},
	{9, FIELD_STRING, AT(config, address6)},
	{10, FIELD_STRING, AT(config, gateway6)},
	{11, FIELD_STRINGS, AT(config, dns), .max = LIMIT_DNS_SERVERS},
	{12, FIELD_U32, AT(config, mtu)},
	{13, FIELD_U64, AT(config, realtime_ns)},
	{14, FIELD_U32, AT(config, session_ports)},
	{15, FIELD_STRUCT, AT(config, process), .required = true, .inner = &wire_process_message});

MESSAGE(open,
	{1, FIELD_U32, AT(open, session)},
	{2, FIELD_U32, AT(open, port)},
	{3, FIELD_STRUCT, AT(open, process), .required = true, .inner = &wire_process_message},
	{4, FIELD_U32, AT(open, kind)},
	{5, FIELD_STRING, AT(open, path)},
	{6, FIELD_U32, AT(open, entry_only)},
	{7, FIELD_U32, AT(open, output_credit)},
	{8, FIELD_U32, AT(open, input_ended)});

MESSAGE(signal,
	{1, FIELD_U32, AT(signal, signal), .required = true});

MESSAGE(shutdown,
	{1, FIELD_U32, AT(shutdown, signal)},
	{2, FIELD_U32, AT(shutdown, timeout_ms)});

MESSAGE(clock,
	{1, FIELD_U64, AT(clock, realtime_ns), .required = true});

MESSAGE(credit,
	{1, FIELD_U32, AT(credit, bytes), .required = true});

MESSAGE(resize,
	{1, FIELD_U32, AT(resize, rows), .required = true},
	{2, FIELD_U32, AT(resize, columns), .required = true});

MESSAGE(fail,
	{1, FIELD_U32, AT(fail, code), .required = true},
	{2, FIELD_STRING, AT(fail, text), .required = true});

MESSAGE(net_ready,
	{1, FIELD_U32S, AT(net_ready, host_ports), .max = LIMIT_PORTS,
	 COUNT(net_ready, host_port_count)});

MESSAGE(net_stats,
	{1, FIELD_U64, AT(net_stats, sent_bytes)},
	{2, FIELD_U64, AT(net_stats, received_bytes)},
	{3, FIELD_U64, AT(net_stats, sent_frames)},
	{4, FIELD_U64, AT(net_stats, received_frames)},
	{5, FIELD_U64, AT(net_stats, dropped_frames)},
	{6, FIELD_U64, AT(net_stats, refused_flows)});

MESSAGE(machine_stats,
	{1, FIELD_U64, AT(machine_stats, realtime_ns), .required = true},
	{2, FIELD_STRUCT, AT(machine_stats, guest), .inner = &wire_stats_message},
	{3, FIELD_STRUCT, AT(machine_stats, net), .inner = &wire_net_stats_message},
	{4, FIELD_U64, AT(machine_stats, host_cpu_us)},
	{5, FIELD_U64, AT(machine_stats, host_memory_bytes)},
	{6, FIELD_U64, AT(machine_stats, disk_bytes)});
/* clang-format on */

struct writer {
	uint8_t *out;
	size_t size;
	size_t length;
	bool overflow;
};

static void write_field(struct writer *w, uint16_t tag, const void *data, size_t length)
{
	if (w->overflow || w->size - w->length < FIELD_HEAD_BYTES ||
	    w->size - w->length - FIELD_HEAD_BYTES < length) {
		w->overflow = true;
		return;
	}
	wire_put_u16(w->out + w->length, tag);
	wire_put_u32(w->out + w->length + 2, (uint32_t)length);
	memcpy(w->out + w->length + FIELD_HEAD_BYTES, data, length);
	w->length += FIELD_HEAD_BYTES + length;
}

static void write_u32(struct writer *w, uint16_t tag, uint32_t value)
{
	uint8_t bytes[4];

	wire_put_u32(bytes, value);
	write_field(w, tag, bytes, sizeof(bytes));
}

static void write_u64(struct writer *w, uint16_t tag, uint64_t value)
{
	uint8_t bytes[8];

	wire_put_u64(bytes, value);
	write_field(w, tag, bytes, sizeof(bytes));
}

static void write_message(struct writer *w, const struct wire_message *message, const void *from);

/* The nested message is written in place behind its head, whose length is filled in afterwards. */
static void write_struct(struct writer *w, const struct wire_field *field, const void *from)
{
	size_t start = w->length;

	write_field(w, field->tag, "", 0);
	write_message(w, field->inner, from);
	if (!w->overflow)
		wire_put_u32(w->out + start + 2, (uint32_t)(w->length - start - FIELD_HEAD_BYTES));
}

static void write_value(struct writer *w, const struct wire_field *field, const void *base)
{
	const uint8_t *at = (const uint8_t *)base + field->offset;
	const uint8_t *count_at = (const uint8_t *)base + field->count_offset;

	switch (field->type) {
	case FIELD_U32:
		if (field->required || *(const uint32_t *)at != 0)
			write_u32(w, field->tag, *(const uint32_t *)at);
		break;
	case FIELD_U64:
		if (field->required || *(const uint64_t *)at != 0)
			write_u64(w, field->tag, *(const uint64_t *)at);
		break;
	case FIELD_STRING: {
		const char *text = *(const char *const *)at;

		if (text != NULL)
			write_field(w, field->tag, text, strlen(text) + 1);
		break;
	}
	case FIELD_STRINGS:
		for (const char *const *s = (const char *const *)at; *s != NULL; s++)
			write_field(w, field->tag, *s, strlen(*s) + 1);
		break;
	case FIELD_U32S:
		for (uint32_t i = 0; i < *(const uint32_t *)count_at; i++)
			write_u32(w, field->tag, ((const uint32_t *)at)[i]);
		break;
	case FIELD_STRUCT:
		write_struct(w, field, at);
		break;
	case FIELD_STRUCTS:
		for (uint32_t i = 0; i < *(const uint32_t *)count_at; i++)
			write_struct(w, field, at + i * field->inner->bytes);
		break;
	}
}

static void write_message(struct writer *w, const struct wire_message *message, const void *from)
{
	for (size_t i = 0; i < message->field_count && !w->overflow; i++)
		write_value(w, &message->fields[i], from);
}

long wire_pack(enum wire_type type, uint8_t stream, const struct wire_message *message,
	       const void *from, uint8_t *out, size_t size)
{
	struct writer w = {0};

	if (size < WIRE_HEAD_BYTES)
		return -EMSGSIZE;
	w.out = out + WIRE_HEAD_BYTES;
	w.size = size - WIRE_HEAD_BYTES;
	if (w.size > LIMIT_PAYLOAD_BYTES)
		w.size = LIMIT_PAYLOAD_BYTES;
	write_message(&w, message, from);
	if (w.overflow)
		return -EMSGSIZE;
	wire_frame_head(out, type, stream, w.length);
	return (long)(WIRE_HEAD_BYTES + w.length);
}

static bool is_string(const uint8_t *data, size_t length)
{
	return length > 0 && memchr(data, '\0', length) == data + length - 1;
}

/* Index where the next item of a counted vector goes, or -1 when it is full. */
static long next_index(const struct wire_field *field, void *base)
{
	uint32_t *count = (uint32_t *)((uint8_t *)base + field->count_offset);

	return *count < field->max ? (long)(*count)++ : -1;
}

static int read_strings(const struct wire_field *field, const uint8_t *data, size_t length,
			const char **strings)
{
	size_t n = 0;

	while (strings[n] != NULL)
		n++;
	if (n >= field->max || !is_string(data, length))
		return -EBADMSG;
	strings[n] = (const char *)data;
	strings[n + 1] = NULL;
	return 0;
}

static int read_value(const struct wire_field *field, const uint8_t *data, size_t length,
		      void *base)
{
	uint8_t *at = (uint8_t *)base + field->offset;
	long index;

	switch (field->type) {
	case FIELD_U32:
		if (length != 4)
			return -EBADMSG;
		*(uint32_t *)at = wire_get_u32(data);
		return 0;
	case FIELD_U64:
		if (length != 8)
			return -EBADMSG;
		*(uint64_t *)at = wire_get_u64(data);
		return 0;
	case FIELD_STRING:
		if (!is_string(data, length))
			return -EBADMSG;
		*(const char **)at = (const char *)data;
		return 0;
	case FIELD_STRINGS:
		return read_strings(field, data, length, (const char **)at);
	case FIELD_U32S:
		index = length == 4 ? next_index(field, base) : -1;
		if (index < 0)
			return -EBADMSG;
		((uint32_t *)at)[index] = wire_get_u32(data);
		return 0;
	case FIELD_STRUCT:
		return wire_unpack(field->inner, data, length, at);
	case FIELD_STRUCTS:
		index = next_index(field, base);
		if (index < 0)
			return -EBADMSG;
		return wire_unpack(field->inner, data, length,
				   at + (size_t)index * field->inner->bytes);
	}
	return -EBADMSG;
}

void wire_clear(const struct wire_message *message, void *ret_struct)
{
	uint8_t *base = ret_struct;

	for (size_t i = 0; i < message->field_count; i++) {
		const struct wire_field *field = &message->fields[i];
		uint8_t *at = base + field->offset;

		switch (field->type) {
		case FIELD_U32:
			*(uint32_t *)at = 0;
			break;
		case FIELD_U64:
			*(uint64_t *)at = 0;
			break;
		case FIELD_STRING:
		case FIELD_STRINGS:
			*(const char **)at = NULL;
			break;
		case FIELD_STRUCT:
			wire_clear(field->inner, at);
			break;
		case FIELD_U32S:
		case FIELD_STRUCTS:
			*(uint32_t *)(base + field->count_offset) = 0;
			break;
		}
	}
}

static size_t find_field(const struct wire_message *message, uint16_t tag)
{
	size_t i = 0;

	while (i < message->field_count && message->fields[i].tag != tag)
		i++;
	return i;
}

int wire_unpack(const struct wire_message *message, const uint8_t *payload, size_t length,
		void *ret_to)
{
	uint32_t seen = 0;

	wire_clear(message, ret_to);
	while (length > 0) {
		size_t i, bytes;
		int r;

		if (length < FIELD_HEAD_BYTES)
			return -EBADMSG;
		i = find_field(message, wire_get_u16(payload));
		bytes = wire_get_u32(payload + 2);
		payload += FIELD_HEAD_BYTES;
		length -= FIELD_HEAD_BYTES;
		if (bytes > length)
			return -EBADMSG;
		if (i < message->field_count) {
			r = read_value(&message->fields[i], payload, bytes, ret_to);
			if (r < 0)
				return r;
			seen |= 1U << i;
		}
		payload += bytes;
		length -= bytes;
	}
	for (size_t i = 0; i < message->field_count; i++) {
		if (message->fields[i].required && (seen & 1U << i) == 0)
			return -EBADMSG;
	}
	return 0;
}
