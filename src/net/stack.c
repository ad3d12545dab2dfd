/* SPDX-License-Identifier: Apache-2.0 */
#include "stack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <slirp/libslirp.h>

#include "base/clock.h"
#include "base/mem.h"
#include "machine/net_config.h"

#if !SLIRP_CHECK_VERSION(4, 7, 0)
#error libslirp 4.7 or newer is needed
#endif

/* libslirp's listen(2) takes one connection at a time. */
#define LISTEN_BACKLOG 128

/*
 * libslirp asks to be woken twice a second as long as it has any TCP socket, listening ones
 * included. When only those are left and nothing has moved for this long (longer than any timer of
 * its TCP), it is let sleep.
 */
#define QUIET_MS (120 * 1000)

struct stack {
	Slirp *slirp;
	stack_output_fn output;
	void *opaque;
	size_t published;
	bool paused;
	size_t first, polled;           /* of this turn's pollset: from, how many */
	int64_t moved_ms;               /* last packet either way; 0: none yet */
	int fds[POLLSET_STACK_FDS_MAX]; /* stack_publish(): known before */
	size_t fd_count;
	size_t sockets_max;
};

static ssize_t on_packet(const void *frame, size_t length, void *opaque)
{
	struct stack *stack = opaque;

	stack->moved_ms = clock_monotonic_ms();
	stack->output(frame, length, stack->opaque);
	return (ssize_t)length;
}

/* What a guest did wrong is no news, and it could fill the log. */
static void on_guest_error(const char *text, void *opaque)
{
}

static int64_t on_clock(void *opaque)
{
	return clock_monotonic_us() * 1000;
}

/* The one timer is for router advertisements, which the guest does not get. */
static void *on_timer_new(SlirpTimerCb callback, void *callback_opaque, void *opaque)
{
	return opaque;
}

static void on_timer_free(void *timer, void *opaque)
{
}

static void on_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
}

static void on_fd(int fd, void *opaque)
{
}

/* Room in a socket's buffer: the next turn looks at every socket anyway. */
static void on_notify(void *opaque)
{
}

static const SlirpCb callbacks = {
	.send_packet = on_packet,
	.guest_error = on_guest_error,
	.clock_get_ns = on_clock,
	.timer_new = on_timer_new,
	.timer_free = on_timer_free,
	.timer_mod = on_timer_mod,
	.register_poll_fd = on_fd,
	.unregister_poll_fd = on_fd,
	.notify = on_notify,
};

static void set_addresses(SlirpConfig *config)
{
	if (inet_pton(AF_INET, NET_ADDRESS, &config->vnetwork) != 1 ||
	    inet_pton(AF_INET, NET_GATEWAY, &config->vhost) != 1 ||
	    inet_pton(AF_INET, NET_GUEST, &config->vdhcp_start) != 1 ||
	    inet_pton(AF_INET6, NET6_PREFIX, &config->vprefix_addr6) != 1 ||
	    inet_pton(AF_INET6, NET6_GATEWAY, &config->vhost6) != 1)
		abort();
	config->vnetmask.s_addr = htonl(UINT32_MAX << (32 - NET_PREFIX_BITS));
	config->vprefix_len = NET6_PREFIX_BITS;
	/* Must differ from the gateway's; nothing is there. */
	config->vnameserver.s_addr = htonl(ntohl(config->vhost.s_addr) + 2);
	config->vnameserver6 = config->vhost6;
	config->vnameserver6.s6_addr[15] = (uint8_t)(config->vhost6.s6_addr[15] + 2);
}

static int on_ignored_fd(int fd, int events, void *opaque)
{
	return -1;
}

static int on_no_event(int index, void *opaque)
{
	return 0;
}

/* Lets libslirp read the clock, and tells it where the guest is, by answers that nobody gets. */
static void warm_up(struct stack *stack, const struct gate *gate)
{
	uint32_t timeout_ms = 0;
	struct gate_answer frame = {0};

	slirp_pollfds_fill(stack->slirp, &timeout_ms, on_ignored_fd, stack);
	slirp_pollfds_poll(stack->slirp, 1, on_no_event, stack);
	gate_introduce4(gate, &frame);
	slirp_input(stack->slirp, frame.frame, (int)frame.length);
	gate_introduce6(gate, &frame);
	slirp_input(stack->slirp, frame.frame, (int)frame.length);
	stack->moved_ms = 0;
}

static void output_nothing(const uint8_t *frame, size_t length, void *opaque)
{
}

/* A socket that cannot be opened would leave the guest without an answer. */
static size_t sockets_allowed(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= POLLSET_FDS_MAX)
		return POLLSET_STACK_FDS_MAX;
	return files.rlim_cur > POLLSET_OTHER_FDS_MAX ? files.rlim_cur - POLLSET_OTHER_FDS_MAX : 1;
}

struct stack *stack_new(const struct gate *gate, size_t mtu, stack_output_fn output, void *opaque)
{
	struct stack *stack = mem_new(struct stack);
	SlirpConfig config = {
		.version = 4,
		.in_enabled = true,
		.in6_enabled = true,
		.if_mtu = mtu,
		.if_mru = mtu,
		/* An answer to a host's UDP client goes to the host's loopback: policy.h refuses the rest. */
		.disable_host_loopback = false,
		.disable_dns = true,
		.disable_dhcp = true,
	};

	set_addresses(&config);
	stack->output = output_nothing;
	stack->opaque = opaque;
	stack->sockets_max = sockets_allowed();
	stack->slirp = slirp_new(&config, &callbacks, stack);
	if (stack->slirp == NULL) {
		free(stack);
		return NULL;
	}
	warm_up(stack, gate);
	stack->output = output;
	return stack;
}

void stack_free(struct stack *stack)
{
	if (stack == NULL)
		return;
	stack->output = output_nothing;
	slirp_cleanup(stack->slirp);
	free(stack);
}

static int on_known_fd(int fd, int events, void *opaque)
{
	struct stack *stack = opaque;

	if (stack->fd_count < POLLSET_STACK_FDS_MAX)
		stack->fds[stack->fd_count++] = fd;
	return -1;
}

struct search {
	const struct stack *stack;
	int found;
};

static int on_new_fd(int fd, int events, void *opaque)
{
	struct search *search = opaque;

	for (size_t i = 0; i < search->stack->fd_count; i++) {
		if (search->stack->fds[i] == fd)
			return -1;
	}
	search->found = fd;
	return -1;
}

static int port_of(int fd, uint16_t *ret_port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} address = {.in6 = {0}};
	socklen_t length = sizeof(address);

	if (getsockname(fd, &address.any, &length) < 0)
		return -errno;
	*ret_port = ntohs(address.any.sa_family == AF_INET6 ? address.in6.sin6_port
							    : address.in4.sin_port);
	return 0;
}

/* libslirp keeps its descriptors to itself, except that it wants them polled. */
static int find_published(struct stack *stack, bool is_udp, uint16_t *ret_port)
{
	struct search search = {stack, -1};
	uint32_t timeout_ms = 0;

	slirp_pollfds_fill(stack->slirp, &timeout_ms, on_new_fd, &search);
	if (search.found < 0)
		return -EIO;
	if (!is_udp && listen(search.found, LISTEN_BACKLOG) < 0)
		return -errno;
	return port_of(search.found, ret_port);
}

int stack_publish(struct stack *stack, const struct sockaddr *host, uint16_t guest_port,
		  bool is_udp, uint16_t *ret_port)
{
	struct sockaddr_in guest4 = {.sin_family = AF_INET, .sin_port = htons(guest_port)};
	struct sockaddr_in6 guest6 = {.sin6_family = AF_INET6, .sin6_port = htons(guest_port)};
	bool is_ip6 = host->sa_family == AF_INET6;
	uint32_t timeout_ms = 0;
	int flags = (is_udp ? SLIRP_HOSTFWD_UDP : 0) | (is_ip6 ? SLIRP_HOSTFWD_V6ONLY : 0);

	if (inet_pton(AF_INET, NET_GUEST, &guest4.sin_addr) != 1 ||
	    inet_pton(AF_INET6, NET6_GUEST, &guest6.sin6_addr) != 1)
		abort();
	stack->fd_count = 0;
	slirp_pollfds_fill(stack->slirp, &timeout_ms, on_known_fd, stack);
	errno = 0;
	if (slirp_add_hostxfwd(stack->slirp, host, is_ip6 ? sizeof(guest6) : sizeof(guest4),
			       is_ip6 ? (const struct sockaddr *)&guest6
				      : (const struct sockaddr *)&guest4,
			       is_ip6 ? sizeof(guest6) : sizeof(guest4), flags) < 0)
		return errno > 0 ? -errno : -EIO;
	stack->published++;
	return find_published(stack, is_udp, ret_port);
}

/* libslirp's events and poll(2)'s. */
static const struct {
	int slirp;
	short poll;
} events_table[] = {
	{SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
	{SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP},
};

struct filling {
	struct stack *stack;
	struct pollset *set;
};

static int on_add_poll(int fd, int events, void *opaque)
{
	struct filling *filling = opaque;
	short wanted = 0;

	filling->stack->polled++;
	if (filling->set == NULL || filling->stack->polled > POLLSET_STACK_FDS_MAX)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(events_table); i++) {
		if ((events & events_table[i].slirp) != 0)
			wanted |= events_table[i].poll;
	}
	/* Errors and hang-ups are reported anyway; some systems refuse to be asked for them. */
	return pollset_add(filling->set, fd, wanted & (POLLIN | POLLOUT | POLLPRI));
}

static bool may_sleep(const struct stack *stack, int64_t now_ms)
{
	return stack->polled == stack->published &&
	       (stack->moved_ms == 0 || now_ms - stack->moved_ms > QUIET_MS);
}

static void fill(struct stack *stack, struct pollset *set, bool paused, int64_t now_ms)
{
	struct filling filling = {stack, paused ? NULL : set};
	uint32_t timeout_ms = UINT32_MAX;

	stack->paused = paused;
	stack->first = set->count;
	stack->polled = 0;
	slirp_pollfds_fill(stack->slirp, &timeout_ms, on_add_poll, &filling);
	if (timeout_ms != UINT32_MAX && !may_sleep(stack, now_ms))
		pollset_wake_at(set, now_ms + timeout_ms);
}

void stack_fill(struct stack *stack, struct pollset *set, int64_t now_ms)
{
	fill(stack, set, false, now_ms);
}

void stack_fill_paused(struct stack *stack, struct pollset *set, int64_t now_ms)
{
	fill(stack, set, true, now_ms);
}

static int on_get_events(int index, void *opaque)
{
	short got = pollset_events(opaque, index);
	int events = 0;

	for (size_t i = 0; i < ARRAY_SIZE(events_table); i++) {
		if ((got & events_table[i].poll) != 0)
			events |= events_table[i].slirp;
	}
	return events;
}

void stack_poll(struct stack *stack, const struct pollset *set)
{
	slirp_pollfds_poll(stack->slirp, stack->paused, on_get_events, (void *)set);
}

void stack_input(struct stack *stack, const uint8_t *frame, size_t length, int64_t now_ms)
{
	stack->moved_ms = now_ms;
	slirp_input(stack->slirp, frame, (int)length);
}

bool stack_is_full(const struct stack *stack)
{
	return stack->polled >= stack->sockets_max - 1;
}

bool stack_has_port(const struct stack *stack, const struct pollset *set, uint16_t port)
{
	size_t last = MIN(stack->first + stack->polled, set->count);
	uint16_t found = 0;

	if (stack->paused)
		return false;
	for (size_t i = stack->first; i < last; i++) {
		if (port_of(set->fds[i].fd, &found) == 0 && found == port)
			return true;
	}
	return false;
}
