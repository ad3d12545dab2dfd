/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may ask. A unix socket has mode 0600: whoever can connect is its owner. Over TCP every
 * request shows the token (Authorization: Bearer), and must be meant for us (Host) and not come
 * from a foreign page (Origin).
 *
 * The token lies in a file that only its owner may read, where the command line finds it. Only its
 * SHA-256 is held here, and compared in constant time.
 */
#ifndef API_AUTH_H
#define API_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "http_parser.h"

struct request;

#define AUTH_HASH_BYTES 32
#define AUTH_NAME_BYTES 256
#define AUTH_TOKEN_FILE "token"

struct auth {
	uint8_t hash[AUTH_HASH_BYTES];
	bool has_token;
	char own_name
		[AUTH_NAME_BYTES]; /* a Host that is ours although it is a name; may be empty */
};

/* Makes the token file when there is none; mode 0600. */
int auth_make_token(const char *path, struct err *err) _must_check_;

/* Reads the token. -EACCES when others may read the file, -EINVAL when it is no token. */
int auth_load_token(struct auth *auth, const char *path, struct err *err) _must_check_;

/* Takes this host's name as ours: for listeners that others reach. */
void auth_allow_host_name(struct auth *auth);

enum auth_outcome {
	AUTH_OK,
	AUTH_FOREIGN_HOST,
	AUTH_FOREIGN_ORIGIN,
	AUTH_NO_TOKEN,
	AUTH_WRONG_TOKEN,
};

/* The decision for a request over TCP. */
enum auth_outcome auth_decide(const struct auth *auth, const struct http_head *head);

/* False when the request was refused, and thereby answered. */
bool auth_check(struct request *request, const struct http_head *head) _must_check_;

#endif
