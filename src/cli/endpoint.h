/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where krun-api listens and what opens it.
 *
 *	unix:///run/user/1000/krun-api/api.sock      http://localhost:8080
 *
 * Which one is asked: --api, else $KRUN_API, else the unix socket that the same user's krun-api
 * makes when it is told nothing. The token: --token-file, else $KRUN_TOKEN, else, for this machine's
 * own loopback and nothing else, the file `token` in the same user's state directory.
 */
#ifndef CLI_ENDPOINT_H
#define CLI_ENDPOINT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/macro.h"

struct endpoint {
	char *text;      /* as given, for messages */
	char *authority; /* "[::1]:8080", for the Host header */
	char *host;      /* "::1" */
	char *port;      /* "8080"; "80" where none was given */
	char *unix_path; /* NULL: TCP */
	char *token;     /* NULL: none */
	bool loopback;   /* TCP to this machine */
};

/* Reads the URL alone. -EINVAL with the forms that are taken. */
int endpoint_parse(struct endpoint *endpoint, const char *url, struct err *err) _must_check_;

/* Chooses and completes it by the rules above; `url` and `token_file` are NULL when not given. */
int endpoint_find(struct endpoint *endpoint, const char *url, const char *token_file,
		  struct err *err) _must_check_;

/* Of one that was read without an error. */
void endpoint_copy(const struct endpoint *endpoint, struct endpoint *ret_copy);
void endpoint_done(struct endpoint *endpoint);

#endif
