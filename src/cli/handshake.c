/* SPDX-License-Identifier: Apache-2.0 */
#include "handshake.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/macro.h"
#include "base/rand.h"

#define KEY_RAW_BYTES 16
#define SHA1_BYTES    20
#define BLOCK_BYTES   64
#define ROUNDS        80
/* Of which key and salt, 60 bytes, their mark and their length need two. */
#define TEXT_BYTES 60

static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
_Static_assert(HANDSHAKE_KEY_BYTES - 1 + sizeof(salt) - 1 == TEXT_BYTES, "key and salt");

static void encode_base64(const uint8_t *data, size_t length, char *ret_text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < length; i += 3) {
		size_t have = MIN(length - i, (size_t)3);
		uint32_t bits = (uint32_t)data[i] << 16;

		if (have > 1)
			bits |= (uint32_t)data[i + 1] << 8;
		if (have > 2)
			bits |= data[i + 2];
		for (size_t digit = 0; digit < 4; digit++)
			*ret_text++ = digit <= have ? digits[bits >> (18 - 6 * digit) & 0x3f] : '=';
	}
	*ret_text = '\0';
}

void handshake_make_key(char ret_key[HANDSHAKE_KEY_BYTES])
{
	uint8_t raw[KEY_RAW_BYTES];

	rand_bytes(raw, sizeof(raw));
	encode_base64(raw, sizeof(raw), ret_key);
}

static uint32_t turn(uint32_t word, unsigned bits)
{
	return word << bits | word >> (32 - bits);
}

/* FIPS 180-4, 6.1.2. */
static void hash_block(uint32_t hash[5], const uint8_t block[BLOCK_BYTES])
{
	uint32_t w[ROUNDS], a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];

	for (size_t t = 0; t < 16; t++)
		w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
		       (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
	for (size_t t = 16; t < ROUNDS; t++)
		w[t] = turn(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	for (size_t t = 0; t < ROUNDS; t++) {
		uint32_t f = t < 20   ? ((b & c) | (~b & d)) + 0x5a827999
			     : t < 40 ? (b ^ c ^ d) + 0x6ed9eba1
			     : t < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
				      : (b ^ c ^ d) + 0xca62c1d6;
		uint32_t next = turn(a, 5) + f + e + w[t];

		e = d;
		d = c;
		c = turn(b, 30);
		b = a;
		a = next;
	}
	hash[0] += a;
	hash[1] += b;
	hash[2] += c;
	hash[3] += d;
	hash[4] += e;
}

void handshake_accept(const char key[HANDSHAKE_KEY_BYTES], char ret_accept[HANDSHAKE_ACCEPT_BYTES])
{
	uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	uint8_t text[2 * BLOCK_BYTES] = {0}, bytes[SHA1_BYTES];

	assert(strlen(key) == HANDSHAKE_KEY_BYTES - 1);
	memcpy(text, key, HANDSHAKE_KEY_BYTES - 1);
	memcpy(text + HANDSHAKE_KEY_BYTES - 1, salt, sizeof(salt) - 1);
	text[TEXT_BYTES] = 0x80;
	text[sizeof(text) - 2] = (TEXT_BYTES * 8) >> 8;
	text[sizeof(text) - 1] = (TEXT_BYTES * 8) & 0xff;
	hash_block(hash, text);
	hash_block(hash, text + BLOCK_BYTES);
	for (size_t i = 0; i < SHA1_BYTES; i++)
		bytes[i] = (uint8_t)(hash[i / 4] >> (24 - 8 * (i % 4)));
	encode_base64(bytes, sizeof(bytes), ret_accept);
}
