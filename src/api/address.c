/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/opt.h"

#define UNIX_SCHEME "unix://"

static int parse_unix(const char *text, const char *path, struct address *address, struct err *err)
{
	if (path[0] != '/')
		return err_set(err, EINVAL,
			       "--listen '%s': a socket's path must be absolute, as in "
			       "unix:///run/krun-api/api.sock",
			       text);
	if (strlen(path) >= sizeof(address->path))
		return err_set(err, EINVAL,
			       "--listen '%s': a socket's path may have at most %zu bytes", text,
			       sizeof(address->path) - 1);
	address->kind = ADDRESS_UNIX;
	strcpy(address->path, path);
	return 0;
}

static int parse_port(const char *text, const char *digits, struct address *address,
		      struct err *err)
{
	long long port;

	if (opt_parse_int(digits, 0, 65535, &port) < 0)
		return err_set(err, EINVAL, "--listen '%s': '%s' is not a port between 0 and 65535",
			       text, digits);
	address->port = (uint16_t)port;
	return 0;
}

static int parse_host(const char *text, const char *host, struct address *address, struct err *err)
{
	if (host[0] == '\0' || strcasecmp(host, "localhost") == 0)
		address->kind = ADDRESS_LOOPBACK;
	else if (inet_pton(AF_INET, host, &address->inet4) == 1)
		address->kind = ADDRESS_INET4;
	else if (inet_pton(AF_INET6, host, &address->inet6) == 1)
		address->kind = ADDRESS_INET6;
	else
		return err_set(err, EINVAL,
			       "--listen '%s': '%s' is not an address: say :8080, "
			       "127.0.0.1:8080, [::1]:8080 or unix:///path",
			       text, host);
	return 0;
}

int address_parse(const char *text, struct address *ret_address, struct err *err)
{
	struct address address = {.kind = ADDRESS_LOOPBACK};
	char host[64];
	const char *colon = strrchr(text, ':');
	size_t length;
	int r;

	if (strncmp(text, UNIX_SCHEME, strlen(UNIX_SCHEME)) == 0) {
		r = parse_unix(text, text + strlen(UNIX_SCHEME), &address, err);
		if (r >= 0)
			*ret_address = address;
		return r;
	}
	length = colon == NULL ? 0 : (size_t)(colon - text);
	if (length >= sizeof(host))
		return err_set(err, EINVAL, "--listen '%.80s': not an address and a port", text);
	memcpy(host, text, length);
	host[length] = '\0';
	if (length > 1 && host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		memmove(host, host + 1, length - 1);
	} else if (strchr(host, ':') != NULL) {
		return err_set(err, EINVAL,
			       "--listen '%s': an IPv6 address stands in brackets, as in "
			       "[::1]:8080",
			       text);
	}
	r = parse_host(text, host, &address, err);
	if (r < 0)
		return r;
	r = parse_port(text, colon == NULL ? text : colon + 1, &address, err);
	if (r < 0)
		return r;
	*ret_address = address;
	return 0;
}

bool address_is_local(const struct address *address)
{
	switch (address->kind) {
	case ADDRESS_UNIX:
	case ADDRESS_LOOPBACK:
		return true;
	case ADDRESS_INET4:
		return ntohl(address->inet4.s_addr) >> 24 == 127;
	case ADDRESS_INET6:
		return IN6_IS_ADDR_LOOPBACK(&address->inet6);
	}
	return false;
}

static void fill_inet4(struct sockaddr_storage *ret_socket, struct in_addr address, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret_socket;

	memset(ret_socket, 0, sizeof(*ret_socket));
	in->sin_family = AF_INET;
	in->sin_addr = address;
	in->sin_port = htons(port);
}

static void fill_inet6(struct sockaddr_storage *ret_socket, const struct in6_addr *address,
		       uint16_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_socket;

	memset(ret_socket, 0, sizeof(*ret_socket));
	in6->sin6_family = AF_INET6;
	in6->sin6_addr = *address;
	in6->sin6_port = htons(port);
}

size_t address_sockets(const struct address *address, struct sockaddr_storage ret_sockets[2])
{
	switch (address->kind) {
	case ADDRESS_UNIX:
		return 0;
	case ADDRESS_LOOPBACK:
		fill_inet4(&ret_sockets[0], (struct in_addr){htonl(INADDR_LOOPBACK)},
			   address->port);
		fill_inet6(&ret_sockets[1], &in6addr_loopback, address->port);
		return 2;
	case ADDRESS_INET4:
		fill_inet4(&ret_sockets[0], address->inet4, address->port);
		return 1;
	case ADDRESS_INET6:
		fill_inet6(&ret_sockets[0], &address->inet6, address->port);
		return 1;
	}
	return 0;
}

/* Splits "name", "name:port", "[v6]:port"; false when it is none of these. */
static bool split_host(const char *host, char ret_name[256])
{
	const char *end, *rest;
	long long port;

	if (host[0] == '[') {
		host++;
		end = strchr(host, ']');
		if (end == NULL)
			return false;
		rest = end + 1;
	} else {
		end = host + strcspn(host, ":");
		rest = end;
	}
	if (end == host || end - host > 255)
		return false;
	if (*rest == ':' && opt_parse_int(rest + 1, 0, 65535, &port) < 0)
		return false;
	if (*rest != ':' && *rest != '\0')
		return false;
	memcpy(ret_name, host, (size_t)(end - host));
	ret_name[end - host] = '\0';
	return true;
}

bool address_host_is_ours(const char *host, const char *own_name)
{
	static const char below_localhost[] = ".localhost";
	struct in6_addr ignored;
	char name[256];
	size_t length;

	if (!split_host(host, name))
		return false;
	if (host[0] == '[')
		return inet_pton(AF_INET6, name, &ignored) == 1;
	if (inet_pton(AF_INET, name, &ignored) == 1)
		return true;
	length = strlen(name);
	if (name[length - 1] == '.')
		name[--length] = '\0';
	if (strcasecmp(name, "localhost") == 0)
		return true;
	if (length > strlen(below_localhost) &&
	    strcasecmp(name + length - strlen(below_localhost), below_localhost) == 0)
		return true;
	return own_name != NULL && strcasecmp(name, own_name) == 0;
}
