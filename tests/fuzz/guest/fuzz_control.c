/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the host's side of the control connection; sessions and the workload are there without
 * processes. What must hold: a machine whose host has gone comes to its end, by way of EXITED.
 */
#include <assert.h>
#include <sys/socket.h>

/* clang-format off */
#include "../../../src/guest/control.c"
#include "fake_process.h"
/* clang-format on */

#define TURNS_MAX 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_all;

int platform_set_up(const struct wire_config *config, struct set_up_times *ret_times,
		    struct failure *failure)
{
	*ret_times = (struct set_up_times){0};
	/* Read what set-up would read. */
	for (uint32_t i = 0; i < config->volume_count; i++)
		read_all += strlen(config->volumes[i].guest_path);
	for (size_t i = 0; config->dns[i] != NULL; i++)
		read_all += strlen(config->dns[i]);
	if (config->root_kind == 0)
		return failure_set(failure, CODE_SET_UP, "as asked");
	return 0;
}

int platform_session_dial(uint32_t port, bool *ret_connecting)
{
	(void)port;
	*ret_connecting = false;
	return -ECONNREFUSED;
}

bool platform_has_session_ports(void)
{
	return false;
}

void platform_clock_set(uint64_t realtime_ns)
{
	read_all += realtime_ns;
}

void platform_stats_read(struct wire_stats *ret_stats)
{
	*ret_stats = (struct wire_stats){0};
}

/* The workload ends as if it had been killed. */
void platform_kill_all(void)
{
	close_fake_process();
	(void)workload_reap(FAKE_PID, 0);
}

static void turn(void)
{
	wait_for_events();
	advance();
}

/* SHUTDOWN's timeout may be an hour: time is the one thing that is made up. */
static void pass_deadline(void)
{
	if (control.phase == PHASE_STOPPING)
		control.deadline_ns = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	memset(&control, 0, offsetof(__typeof__(control), channel));
	channel_open(&control.channel, fds[0], false);
	workload_init(&control.channel);
	session_init();
	say_hello();
	enter(PHASE_CONFIGURING, CONFIG_TIMEOUT_NS);
	while (size > 0 && control.phase != PHASE_OVER) {
		ssize_t n = send(fds[1], data, MIN(size, 4 * KIB), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n <= 0)
			break;
		data += n;
		size -= (size_t)n;
		pass_deadline();
		turn();
	}
	close(fds[1]);
	for (int i = 0; control.phase != PHASE_OVER; i++) {
		assert(i < TURNS_MAX);
		pass_deadline();
		turn();
	}
	close_fake_process();
	channel_close(&control.channel);
	return 0;
}
