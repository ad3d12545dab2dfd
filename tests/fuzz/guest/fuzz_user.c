/* SPDX-License-Identifier: Apache-2.0 */
/* An image's passwd and group. Input: the user, a NUL, both files alike. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../src/guest/user.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
	struct failure failure = {0};
	struct user user;
	char path[64];
	size_t rest;
	int fd;

	if (nul == NULL)
		return 0;
	rest = size - (size_t)(nul + 1 - data);
	fd = memfd_create("users", MFD_CLOEXEC);
	if (fd < 0 || write(fd, nul + 1, rest) != (ssize_t)rest)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (user_resolve((const char *)data, path, path, &user, &failure) == 0) {
		assert(user.uid <= ID_MAX && user.gid <= ID_MAX);
		assert(user.group_count <= USER_GROUPS_MAX);
		assert(user.home[0] != '\0' && strlen(user.home) < sizeof(user.home));
	} else {
		assert(failure.code == CODE_SET_UP && failure.text[0] != '\0');
	}
	close(fd);
	return 0;
}
