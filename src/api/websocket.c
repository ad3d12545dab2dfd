/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <wslay/wslay.h>

#include "base/buf.h"
#include "base/mem.h"

#define KEY_CHARS          24 /* base64 of 16 bytes */
#define CLOSE_REASON_BYTES 123
#define HEAD_BYTES_MAX     10
#define FIN                0x80
#define SMALL_MESSAGE      4096 /* the memory of larger ones is not kept */

struct websocket {
	struct wslay_event_context *context;
	const struct websocket_calls *calls;
	void *user;
	struct buf
		message; /* so far; wslay's own would cost many times a message in tiny fragments */
	size_t message_bytes_max;
	const uint8_t *fed; /* of websocket_feed() */
	size_t fed_length;
	uint8_t head[HEAD_BYTES_MAX]; /* of a frame of wslay's whose payload comes next */
	size_t head_length;
	bool paused;
	bool in_control; /* the frame being read is a ping, a pong, a close */
	bool closing;    /* our close is on its way */
	bool peer_done;  /* its close came */
	bool broken;     /* what it sends is not looked at any more */
	bool failed;     /* wslay may send no more */
};

/* ---- out ---- */

/* An unmasked frame has a head of two bytes, and the length that does not fit into them. */
static size_t make_head(uint8_t head[HEAD_BYTES_MAX], enum wslay_opcode opcode, size_t length)
{
	size_t wide = length < 126 ? 0 : length <= UINT16_MAX ? 2 : 8;

	head[0] = (uint8_t)(FIN | opcode);
	head[1] = wide == 0 ? (uint8_t)length : wide == 2 ? 126 : 127;
	for (size_t i = 0; i < wide; i++)
		head[2 + i] = (uint8_t)((uint64_t)length >> (8 * (wide - 1 - i)));
	return 2 + wide;
}

void websocket_send(struct websocket *websocket, uint8_t channel, const void *data, size_t length)
{
	uint8_t head[HEAD_BYTES_MAX + 1];
	size_t head_length;
	uv_buf_t parts[2];

	if (websocket->closing)
		return;
	head_length = make_head(head, WSLAY_BINARY_FRAME, length + 1);
	head[head_length++] = channel;
	parts[0] = uv_buf_init((char *)head, (unsigned)head_length);
	parts[1] = uv_buf_init((char *)data, (unsigned)length);
	websocket->calls->write(websocket->user, parts, length > 0 ? 2 : 1);
}

void websocket_ping(struct websocket *websocket)
{
	uint8_t head[HEAD_BYTES_MAX];
	uv_buf_t part = uv_buf_init((char *)head, (unsigned)make_head(head, WSLAY_PING, 0));

	if (!websocket->closing)
		websocket->calls->write(websocket->user, &part, 1);
}

/* wslay's own frames: pongs and closes. Head and payload go out as one. */
static ssize_t on_send(struct wslay_event_context *context, const uint8_t *data, size_t length,
		       int flags, void *user)
{
	struct websocket *websocket = user;
	uv_buf_t parts[2];

	if ((flags & WSLAY_MSG_MORE) != 0 && websocket->head_length == 0 &&
	    length <= sizeof(websocket->head)) {
		memcpy(websocket->head, data, length);
		websocket->head_length = length;
		return (ssize_t)length;
	}
	parts[0] = uv_buf_init((char *)websocket->head, (unsigned)websocket->head_length);
	parts[1] = uv_buf_init((char *)data, (unsigned)length);
	websocket->head_length = 0;
	websocket->calls->write(websocket->user, parts[0].len > 0 ? parts : parts + 1,
				parts[0].len > 0 ? 2 : 1);
	return (ssize_t)length;
}

static void flush(struct websocket *websocket)
{
	if (wslay_event_want_write(websocket->context) && wslay_event_send(websocket->context) < 0)
		websocket->broken = true;
}

void websocket_close(struct websocket *websocket, enum websocket_status status,
		     const char *sentence)
{
	uint8_t reason[CLOSE_REASON_BYTES];
	size_t length;

	if (websocket->closing)
		return;
	websocket->closing = true;
	for (length = 0; length < sizeof(reason) && sentence[length] != '\0'; length++)
		reason[length] = (uint8_t)sentence[length] < 0x80 ? (uint8_t)sentence[length] : '?';
	if (wslay_event_queue_close(websocket->context, (uint16_t)status, reason, length) < 0)
		websocket->broken = true;
	flush(websocket);
}

/* ---- in ---- */

static ssize_t on_receive(struct wslay_event_context *context, uint8_t *to, size_t length,
			  int flags, void *user)
{
	struct websocket *websocket = user;

	length = MIN(length, websocket->fed_length);
	if (length == 0 || websocket->paused) {
		wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(to, websocket->fed, length);
	websocket->fed += length;
	websocket->fed_length -= length;
	return (ssize_t)length;
}

static void refuse_size(struct websocket *websocket)
{
	websocket->broken = true;
	wslay_event_shutdown_read(websocket->context);
	websocket_close(websocket, WEBSOCKET_TOO_BIG, "the message is too large");
}

static void on_frame_start(struct wslay_event_context *context,
			   const struct wslay_event_on_frame_recv_start_arg *frame, void *user)
{
	struct websocket *websocket = user;

	websocket->in_control = wslay_is_ctrl_frame(frame->opcode);
	if (!websocket->in_control &&
	    frame->payload_length > websocket->message_bytes_max - websocket->message.length)
		refuse_size(websocket);
}

static void on_frame_chunk(struct wslay_event_context *context,
			   const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *user)
{
	struct websocket *websocket = user;

	if (websocket->in_control || websocket->broken || websocket->closing)
		return;
	if (buf_append(&websocket->message, chunk->data, chunk->data_length) < 0)
		refuse_size(websocket); /* cannot be: on_frame_start() has looked */
}

static void forget_message(struct websocket *websocket)
{
	if (websocket->message.allocated > SMALL_MESSAGE) {
		buf_done(&websocket->message);
		buf_init(&websocket->message, websocket->message_bytes_max);
	}
	buf_clear(&websocket->message);
}

static void on_whole_message(struct wslay_event_context *context,
			     const struct wslay_event_on_msg_recv_arg *message, void *user)
{
	struct websocket *websocket = user;

	if (message->opcode == WSLAY_CONNECTION_CLOSE) {
		/* wslay answers it. */
		websocket->peer_done = true;
		websocket->closing = true;
	}
	if (wslay_is_ctrl_frame(message->opcode))
		return;
	if (!websocket->closing && !websocket->broken)
		websocket->calls->on_message(websocket->user, message->opcode == WSLAY_TEXT_FRAME,
					     (const uint8_t *)websocket->message.data,
					     websocket->message.length);
	forget_message(websocket);
}

/* A frame that is none. wslay would close without saying why. */
static void fail_protocol(struct websocket *websocket)
{
	uint8_t frame[HEAD_BYTES_MAX + 2];
	size_t length = make_head(frame, WSLAY_CONNECTION_CLOSE, 2);
	uv_buf_t part;

	websocket->failed = true;
	websocket->broken = true;
	websocket->closing = true;
	if (wslay_event_get_close_sent(websocket->context))
		return;
	frame[length++] = WSLAY_CODE_PROTOCOL_ERROR >> 8;
	frame[length++] = WSLAY_CODE_PROTOCOL_ERROR & 0xff;
	part = uv_buf_init((char *)frame, (unsigned)length);
	websocket->calls->write(websocket->user, &part, 1);
}

size_t websocket_feed(struct websocket *websocket, const void *data, size_t length)
{
	if (websocket->broken || websocket->peer_done)
		return length;
	websocket->fed = data;
	websocket->fed_length = length;
	if (wslay_event_recv(websocket->context) < 0)
		fail_protocol(websocket);
	/* Whatever else made it stop reading, a close of its own is on its way. */
	if (!wslay_event_get_read_enabled(websocket->context) && !websocket->peer_done) {
		websocket->broken = true;
		websocket->closing = true;
	}
	if (!websocket->failed)
		flush(websocket);
	length -= websocket->broken || websocket->peer_done ? 0 : websocket->fed_length;
	websocket->fed = NULL;
	websocket->fed_length = 0;
	return length;
}

void websocket_pause(struct websocket *websocket, bool pause)
{
	websocket->paused = pause;
}

bool websocket_is_over(const struct websocket *websocket)
{
	return websocket->broken || websocket->peer_done;
}

/* ---- life ---- */

struct websocket *websocket_new(size_t message_bytes_max, const struct websocket_calls *calls,
				void *user)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_receive,
		.send_callback = on_send,
		.on_frame_recv_start_callback = on_frame_start,
		.on_frame_recv_chunk_callback = on_frame_chunk,
		.on_msg_recv_callback = on_whole_message,
	};
	struct websocket *websocket = mem_new(struct websocket);

	websocket->calls = calls;
	websocket->user = user;
	websocket->message_bytes_max = message_bytes_max;
	buf_init(&websocket->message, message_bytes_max);
	if (wslay_event_context_server_init(&websocket->context, &callbacks, websocket) < 0)
		abort(); /* no memory (base/mem.h) */
	wslay_event_config_set_no_buffering(websocket->context, 1);
	return websocket;
}

void websocket_free(struct websocket *websocket)
{
	if (websocket == NULL)
		return;
	wslay_event_context_free(websocket->context);
	buf_done(&websocket->message);
	free(websocket);
}

void websocket_limit_message(struct websocket *websocket, size_t message_bytes_max)
{
	websocket->message_bytes_max = message_bytes_max;
}

/* ---- handshake ---- */

int websocket_accept(const char *key, char ret_accept[WEBSOCKET_ACCEPT_BYTES])
{
	static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t raw[KEY_CHARS / 4 * 3], hash[EVP_MAX_MD_SIZE];
	char text[KEY_CHARS + sizeof(salt)];
	unsigned hash_length = 0;

	if (strlen(key) != KEY_CHARS || strcmp(key + KEY_CHARS - 2, "==") != 0 ||
	    EVP_DecodeBlock(raw, (const unsigned char *)key, KEY_CHARS) != sizeof(raw))
		return -EINVAL;
	memcpy(text, key, KEY_CHARS);
	strcpy(text + KEY_CHARS, salt);
	if (EVP_Digest(text, strlen(text), hash, &hash_length, EVP_sha1(), NULL) != 1 ||
	    hash_length != 20)
		return -EINVAL;
	EVP_EncodeBlock((unsigned char *)ret_accept, hash, (int)hash_length);
	return 0;
}
