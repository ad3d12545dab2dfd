/* SPDX-License-Identifier: Apache-2.0 */
#include "auth.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "base/file.h"
#include "base/rand.h"
#include "connection.h"
#include "request.h"
#include "server.h"

#define TOKEN_RANDOM_BYTES 32

static int hash_token(const char *token, size_t length, uint8_t ret_hash[AUTH_HASH_BYTES])
{
	unsigned hash_length = 0;

	if (EVP_Digest(token, length, ret_hash, &hash_length, EVP_sha256(), NULL) != 1 ||
	    hash_length != AUTH_HASH_BYTES)
		return -ENOSYS;
	return 0;
}

int auth_make_token(const char *path, struct err *err)
{
	uint8_t random[TOKEN_RANDOM_BYTES];
	char text[2 * TOKEN_RANDOM_BYTES + 2];
	int r;

	if (access(path, F_OK) == 0)
		return 0;
	rand_bytes(random, sizeof(random));
	hex_format(random, sizeof(random), text);
	strcat(text, "\n");
	r = file_write_atomic(path, text, strlen(text), 0600);
	OPENSSL_cleanse(random, sizeof(random));
	OPENSSL_cleanse(text, sizeof(text));
	return r < 0 ? err_set_errno(err, -r, "cannot write the token file '%s'", path) : 0;
}

int auth_load_token(struct auth *auth, const char *path, struct err *err)
{
	_cleanup_buf_ struct buf text;
	struct stat st;
	size_t length;
	int r;

	buf_init(&text, TOKEN_BYTES_MAX + 2);
	if (stat(path, &st) < 0)
		return err_set_errno(err, errno, "cannot read the token file '%s'", path);
	if ((st.st_mode & 077) != 0)
		return err_set(err, EACCES, "others may read the token file '%s': chmod 600 it",
			       path);
	r = file_read(path, &text);
	if (r < 0)
		return err_set_errno(err, -r, "cannot read the token file '%s'", path);
	length = text.length;
	while (length > 0 && strchr(" \t\r\n", text.data[length - 1]) != NULL)
		length--;
	if (length < TOKEN_BYTES_MIN || length > TOKEN_BYTES_MAX ||
	    memchr(text.data, ' ', length) != NULL || memchr(text.data, '\n', length) != NULL)
		return err_set(err, EINVAL,
			       "the token file '%s' must hold one word of %d to %d characters",
			       path, TOKEN_BYTES_MIN, TOKEN_BYTES_MAX);
	r = hash_token(text.data, length, auth->hash);
	OPENSSL_cleanse(text.data, text.length);
	if (r < 0)
		return err_set(err, ENOSYS, "OpenSSL has no SHA-256");
	auth->has_token = true;
	return 0;
}

void auth_allow_host_name(struct auth *auth)
{
	if (gethostname(auth->own_name, sizeof(auth->own_name)) < 0)
		auth->own_name[0] = '\0';
	auth->own_name[sizeof(auth->own_name) - 1] = '\0';
}

/* A page that this server served itself: scheme and the very Host. */
static bool origin_is_own(const char *origin, const char *host)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t length = strlen(schemes[i]);

		if (strncasecmp(origin, schemes[i], length) == 0 &&
		    strcasecmp(origin + length, host) == 0)
			return true;
	}
	return false;
}

static bool token_fits(const struct auth *auth, const char *authorization)
{
	static const char scheme[] = "Bearer ";
	uint8_t hash[AUTH_HASH_BYTES];
	size_t length = strlen(scheme);

	if (strncasecmp(authorization, scheme, length) != 0 || !auth->has_token)
		return false;
	while (authorization[length] == ' ')
		length++;
	if (hash_token(authorization + length, strlen(authorization + length), hash) < 0)
		return false;
	return CRYPTO_memcmp(hash, auth->hash, sizeof(hash)) == 0;
}

enum auth_outcome auth_decide(const struct auth *auth, const struct http_head *head)
{
	const char *host = head->headers[HTTP_HEADER_HOST];
	const char *origin = head->headers[HTTP_HEADER_ORIGIN];
	const char *authorization = head->headers[HTTP_HEADER_AUTHORIZATION];

	if (host == NULL || !address_host_is_ours(host, auth->own_name))
		return AUTH_FOREIGN_HOST;
	if (origin != NULL && !origin_is_own(origin, host))
		return AUTH_FOREIGN_ORIGIN;
	if (authorization == NULL)
		return AUTH_NO_TOKEN;
	return token_fits(auth, authorization) ? AUTH_OK : AUTH_WRONG_TOKEN;
}

bool auth_check(struct request *request, const struct http_head *head)
{
	/* Only a page in a browser says where it comes from, and none can reach a unix socket. */
	if (connection_origin(request->connection) == CONNECTION_UNIX)
		return true;
	switch (auth_decide(&request->server->auth, head)) {
	case AUTH_OK:
		return true;
	case AUTH_FOREIGN_HOST:
		reply_error(request, 403, "foreign_host",
			    "the Host header names another server: use localhost or an address");
		return false;
	case AUTH_FOREIGN_ORIGIN:
		reply_error(request, 403, "foreign_origin",
			    "pages of other sites may not use this server");
		return false;
	case AUTH_NO_TOKEN:
		reply_unauthorized(request, "over TCP every request needs 'Authorization: Bearer "
					    "TOKEN'; the token is in the server's token file");
		return false;
	case AUTH_WRONG_TOKEN:
		reply_unauthorized(request, "this is not the token in the server's token file");
		return false;
	}
	return false;
}
