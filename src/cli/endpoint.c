/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/dirs.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/opt.h"

#define TOKEN_BYTES_MAX 4096

static bool is_loopback_host(const char *host, size_t length)
{
	if (length == 9 && strncasecmp(host, "localhost", 9) == 0)
		return true;
	if (length == 5 && strncmp(host, "[::1]", 5) == 0)
		return true;
	/* 127.0.0.0/8, but not a name that begins so: 127.example.org. */
	return length > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= length;
}

static int parse_unix(struct endpoint *endpoint, const char *path, struct err *err)
{
	if (path[0] != '/')
		return err_set(err, EINVAL, "unix:// needs an absolute path: unix:///PATH");
	if (strlen(path) >= FD_UNIX_PATH_BYTES_MAX)
		return err_set(err, EINVAL, "the path of a socket has at most %d bytes: %s",
			       FD_UNIX_PATH_BYTES_MAX - 1, path);
	endpoint->unix_path = mem_strdup(path);
	endpoint->authority = mem_strdup("localhost");
	return 0;
}

/* Behind the host: nothing, or ':' and a port. */
static int parse_port(struct endpoint *endpoint, const char *text, size_t length, struct err *err)
{
	_cleanup_free_ char *port = mem_printf("%.*s", (int)length, text);
	long long number;

	if (length == 0) {
		endpoint->port = mem_strdup("80");
		return 0;
	}
	if (port[0] != ':' || opt_parse_int(port + 1, 1, 65535, &number) < 0)
		return err_set(err, EINVAL, "a port is a number from 1 to 65535: %s",
			       endpoint->text);
	endpoint->port = mem_printf("%lld", number);
	return 0;
}

static int parse_tcp(struct endpoint *endpoint, const char *host, struct err *err)
{
	const char *url = endpoint->text;
	size_t length = strcspn(host, "/");
	size_t host_length;

	if (host[length] == '/' && host[length + 1] != '\0')
		return err_set(err, EINVAL, "the address of krun-api has no path: %s", url);
	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)host[i]) && strchr(".-_:[]%", host[i]) == NULL)
			return err_set(err, EINVAL, "no host name has '%c' in it: %s",
				       isprint((unsigned char)host[i]) ? host[i] : '?', url);
	}
	host_length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
	if (host_length == 0 || host_length > length)
		return err_set(err, EINVAL, "there is no host in %s", url);
	endpoint->loopback = is_loopback_host(host, host_length);
	endpoint->authority = mem_printf("%.*s", (int)length, host);
	endpoint->host = host[0] == '[' ? mem_printf("%.*s", (int)host_length - 2, host + 1)
					: mem_printf("%.*s", (int)host_length, host);
	return parse_port(endpoint, host + host_length, length - host_length, err);
}

int endpoint_parse(struct endpoint *endpoint, const char *url, struct err *err)
{
	*endpoint = (struct endpoint){.text = mem_strdup(url)};
	if (strncmp(url, "unix://", 7) == 0)
		return parse_unix(endpoint, endpoint->text + 7, err);
	if (strncmp(url, "http://", 7) == 0)
		return parse_tcp(endpoint, endpoint->text + 7, err);
	if (strncmp(url, "https://", 8) == 0)
		return err_set(err, EINVAL,
			       "krun-api does not speak TLS, so %s cannot be it: forward a port or "
			       "its socket by ssh ('ssh -N -L 8080:localhost:8080 HOST') and say "
			       "http://localhost:8080",
			       url);
	return err_set(err, EINVAL,
		       "the address of krun-api is http://HOST:PORT or unix:///PATH, not '%s'",
		       url);
}

/* A token is one line; what stands around it is not part of it. */
static int read_token(const char *path, char **ret_token, struct err *err)
{
	_cleanup_buf_ struct buf buf = {0};
	size_t length;
	int r;

	buf_init(&buf, TOKEN_BYTES_MAX);
	r = file_read(path, &buf);
	if (r < 0)
		return err_set_errno(err, -r, "reading the token in %s", path);
	length = buf.data == NULL ? 0 : strcspn(buf.data, "\r\n");
	for (size_t i = 0; i < length; i++) {
		if (!isgraph((unsigned char)buf.data[i]))
			return err_set(err, EINVAL, "there is no token in %s", path);
	}
	if (length == 0)
		return err_set(err, EINVAL, "there is no token in %s", path);
	*ret_token = mem_printf("%.*s", (int)length, buf.data);
	return 0;
}

static int find_token(struct endpoint *endpoint, const char *token_file, struct err *err)
{
	const char *given = getenv("KRUN_TOKEN");

	if (token_file != NULL)
		return read_token(token_file, &endpoint->token, err);
	if (given != NULL && *given != '\0') {
		endpoint->token = mem_strdup(given);
		return 0;
	}
	if (endpoint->loopback) {
		_cleanup_free_ char *state = dirs_state();
		_cleanup_free_ char *path = path_join(state, "token");
		struct err ignored;

		/* Without one the server's own answer says what is missing. */
		(void)!read_token(path, &endpoint->token, &ignored);
	}
	return 0;
}

int endpoint_find(struct endpoint *endpoint, const char *url, const char *token_file,
		  struct err *err)
{
	_cleanup_free_ char *usual = NULL;
	int r;

	if (url == NULL) {
		url = getenv("KRUN_API");
		if (url != NULL && *url == '\0')
			url = NULL;
	}
	if (url == NULL) {
		_cleanup_free_ char *directory = dirs_socket();

		usual = mem_printf("unix://%s/api.sock", directory);
		url = usual;
	}
	r = endpoint_parse(endpoint, url, err);
	if (r < 0)
		return r;
	return find_token(endpoint, token_file, err);
}

void endpoint_copy(const struct endpoint *endpoint, struct endpoint *ret_copy)
{
	*ret_copy = (struct endpoint){
		.text = mem_strdup(endpoint->text),
		.authority = mem_strdup(endpoint->authority),
		.host = mem_strdup_or_null(endpoint->host),
		.port = mem_strdup_or_null(endpoint->port),
		.unix_path = mem_strdup_or_null(endpoint->unix_path),
		.token = mem_strdup_or_null(endpoint->token),
		.loopback = endpoint->loopback,
	};
}

void endpoint_done(struct endpoint *endpoint)
{
	free(endpoint->text);
	free(endpoint->authority);
	free(endpoint->host);
	free(endpoint->port);
	free(endpoint->unix_path);
	free(endpoint->token);
	*endpoint = (struct endpoint){0};
}
