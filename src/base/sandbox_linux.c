/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"

/* Rights that came after the headers at hand: all rights of the kernel's version are given up. */
#define RIGHTS_V1  ((1ULL << 13) - 1)
#define REFER      (1ULL << 13) /* version 2 */
#define TRUNCATE   (1ULL << 14) /* version 3 */
#define IOCTL_DEV  (1ULL << 15) /* version 5 */
#define ALL_SCOPES 3ULL         /* version 6: abstract unix sockets, signals */

/* struct landlock_ruleset_attr as of version 6. */
struct ruleset {
	uint64_t files, ports, scopes;
};

/* Every right is handled, and no rule gives one back. */
static size_t handle_all(long version, struct ruleset *ruleset)
{
	*ruleset = (struct ruleset){.files = RIGHTS_V1};
	if (version >= 2)
		ruleset->files |= REFER;
	if (version >= 3)
		ruleset->files |= TRUNCATE;
	if (version >= 5)
		ruleset->files |= IOCTL_DEV;
	if (version < 6)
		return sizeof(ruleset->files);
	ruleset->scopes = ALL_SCOPES;
	return sizeof(*ruleset);
}

int sandbox_close_files(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	_cleanup_fd_ int fd = -1;
	struct ruleset ruleset;
	size_t bytes;

	if (version < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? -ENOSYS : -errno;
	bytes = handle_all(version, &ruleset);
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, bytes, 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return -errno;
	return 0;
}
