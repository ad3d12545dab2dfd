/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/id.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/rand.h"
#include "wire/limits.h"

#define ID_CHARS         36
#define ID_RANDOM_DIGITS 12 /* after the last dash */

static bool is_dash_place(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/*
 * Milliseconds and the 12 bits behind them, greater at each call of this process: within one
 * millisecond, or when the clock goes back, it counts on from the last (RFC 9562, section 6.2).
 */
static uint64_t next_moment(uint16_t random)
{
	static uint64_t last;
	uint64_t ms = (uint64_t)(clock_realtime_ns() / CLOCK_NS_PER_MS);
	uint64_t moment = ms << 12 | (random & 0x7ff);

	last = moment > last ? moment : last + 1;
	return last;
}

void machine_id_make(char ret_id[MACHINE_ID_BYTES])
{
	uint8_t bytes[16];
	uint64_t moment;
	char digits[33];
	size_t out = 0;

	rand_bytes(bytes, sizeof(bytes));
	moment = next_moment((uint16_t)(bytes[6] << 8 | bytes[7]));
	for (int i = 0; i < 6; i++)
		bytes[i] = (uint8_t)(moment >> (52 - 8 * i));
	bytes[6] = (uint8_t)(0x70 | (moment >> 8 & 0x0f)); /* version 7 */
	bytes[7] = (uint8_t)moment;
	bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80); /* variant of RFC 9562 */
	hex_format(bytes, sizeof(bytes), digits);
	for (const char *p = digits; *p != '\0'; p++) {
		if (is_dash_place(out))
			ret_id[out++] = '-';
		ret_id[out++] = *p;
	}
	ret_id[out] = '\0';
}

/* Length of the text if an id can begin with it, else 0. */
static size_t id_chars(const char *text)
{
	size_t i = 0;

	for (; text[i] != '\0'; i++) {
		if (i >= ID_CHARS || (is_dash_place(i) ? text[i] != '-' : !is_hex(text[i])))
			return 0;
	}
	return i;
}

bool machine_id_is_valid(const char *id)
{
	return id_chars(id) == ID_CHARS;
}

bool machine_id_is_prefix(const char *text)
{
	return id_chars(text) >= MACHINE_ID_PREFIX_CHARS;
}

void machine_id_run_name(const char *id, char ret_name[MACHINE_RUN_NAME_BYTES])
{
	memcpy(ret_name, id + ID_CHARS - ID_RANDOM_DIGITS, ID_RANDOM_DIGITS);
	ret_name[ID_RANDOM_DIGITS] = '\0';
}

void machine_id_mac(const char *id, uint8_t ret_mac[6])
{
	unsigned bytes[6] = {0};

	/* A valid id always scans. */
	if (sscanf(id + ID_CHARS - ID_RANDOM_DIGITS, "%2x%2x%2x%2x%2x%2x", &bytes[0], &bytes[1],
		   &bytes[2], &bytes[3], &bytes[4], &bytes[5]) != 6)
		memset(bytes, 0, sizeof(bytes));
	for (int i = 0; i < 6; i++)
		ret_mac[i] = (uint8_t)bytes[i];
	ret_mac[0] = (uint8_t)((ret_mac[0] & 0xfc) | 0x02); /* local, unicast */
}

int machine_name_check(const char *name, struct err *err)
{
	size_t length = strlen(name);

	if (length == 0 || length > LIMIT_NAME_BYTES ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != length ||
	    strchr("_.-", name[0]) != NULL)
		return err_set(err, EINVAL,
			       "name must be 1 to %d of a-z, 0-9, '_', '.', '-' and begin with a "
			       "letter or digit",
			       LIMIT_NAME_BYTES);
	if (machine_id_is_valid(name))
		return err_set(err, EINVAL, "name must not look like an id");
	return 0;
}

void machine_name_make(char ret_name[64])
{
	static const char *const moods[] = {
		"brisk", "calm",  "clear", "deft",  "eager", "fair",  "fleet", "glad",
		"keen",  "light", "lucid", "merry", "neat",  "plain", "quick", "quiet",
		"rapid", "sharp", "sound", "spry",  "stout", "sunny", "swift", "terse",
	};
	static const char *const animals[] = {
		"otter", "heron", "lynx", "wren", "finch", "hare",  "ibex",  "kite",
		"lark",  "mole",  "newt", "oryx", "pika",  "quail", "raven", "seal",
		"shrew", "stoat", "swan", "tern", "trout", "viper", "vole",  "yak",
	};
	uint8_t bytes[4];

	rand_bytes(bytes, sizeof(bytes));
	snprintf(ret_name, 64, "%s-%s-%02x%02x", moods[bytes[0] % ARRAY_SIZE(moods)],
		 animals[bytes[1] % ARRAY_SIZE(animals)], bytes[2], bytes[3]);
}
