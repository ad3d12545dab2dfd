/* SPDX-License-Identifier: Apache-2.0 */
#include "wall_clock.h"

#include <errno.h>
#include <stdint.h>
#include <sys/timerfd.h>

#include "base/fd.h"

/* Never reached; the kernel's own end of time is 2262. */
#define FAR_S 9000000000LL

/* A timer at a time of the day that is cancelled when the clock is set or the computer wakes up. */
int wall_clock_make_fd(int *ret_fd)
{
	struct itimerspec far = {.it_value = {.tv_sec = FAR_S}};
	_cleanup_fd_ int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0 ||
	    timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL) < 0)
		return -errno;
	*ret_fd = take_fd(fd);
	return 0;
}
