/* SPDX-License-Identifier: Apache-2.0 */
#include "resolv.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/strv.h"

#define FILE_BYTES_MAX (64 * KIB)

/* getaddrinfo(3) for the sake of "fe80::1%eth0". */
static int add_address(struct resolvers *resolvers, const char *address)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_DGRAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	struct addrinfo *found = NULL;

	if (resolvers->count >= LIMIT_DNS_SERVERS)
		return -ENOBUFS;
	if (getaddrinfo(address, "53", &hints, &found) != 0)
		return -EINVAL;
	memset(&resolvers->items[resolvers->count], 0, sizeof(resolvers->items[0]));
	memcpy(&resolvers->items[resolvers->count++], found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return 0;
}

int resolvers_from_list(char *const *addresses, struct resolvers *ret_resolvers, struct err *err)
{
	struct resolvers resolvers = {0};

	for (size_t i = 0; i < strv_length(addresses); i++) {
		if (add_address(&resolvers, addresses[i]) < 0)
			return err_set(err, EINVAL,
				       "network.dns[%zu] '%.64s' is not usable: at most %d "
				       "IP addresses",
				       i, addresses[i], LIMIT_DNS_SERVERS);
	}
	if (resolvers.count == 0)
		return err_set(err, EINVAL, "network.dns names no resolver");
	*ret_resolvers = resolvers;
	return 0;
}

int resolvers_from_file(const char *path, struct resolvers *ret_resolvers, struct err *err)
{
	static const char blanks[] = " \t\r\n";
	struct resolvers resolvers = {0};
	_cleanup_buf_ struct buf text = {0};
	char *line, *lines = NULL;
	int r;

	buf_init(&text, FILE_BYTES_MAX);
	r = file_read(path, &text);
	if (r < 0)
		return err_set_errno(err, ENOENT, "%s", path);
	for (line = text.length > 0 ? strtok_r(text.data, "\n", &lines) : NULL; line != NULL;
	     line = strtok_r(NULL, "\n", &lines)) {
		char *words = NULL, *word = strtok_r(line, blanks, &words);

		if (word == NULL || strcmp(word, "nameserver") != 0)
			continue;
		word = strtok_r(NULL, blanks, &words);
		if (word != NULL && add_address(&resolvers, word) == -ENOBUFS)
			break;
	}
	if (resolvers.count == 0)
		return err_set(err, ENOENT, "%s names no resolver", path);
	*ret_resolvers = resolvers;
	return 0;
}
