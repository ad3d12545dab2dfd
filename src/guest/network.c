/* SPDX-License-Identifier: Apache-2.0 */
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "file.h"
#include "platform.h"
#include "uevent.h"

#define INTERFACE         "eth0"
#define DEVICE_TIMEOUT_NS (5 * NS_PER_S)
#define ANSWER_TIMEOUT_S  5
#define REQUEST_BYTES_MAX 256
#define MTU_MIN           68

struct request {
	struct nlmsghdr head;
	char body[REQUEST_BYTES_MAX];
};

static const char *const sysctls[][2] = {
	/* Any user may ping and listen on any port: the machine is the boundary. */
	{"/proc/sys/net/ipv4/ping_group_range", "0 2147483647"},
	{"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"},
};

static int parse_bits(const char *text, uint8_t max, uint8_t *ret_bits)
{
	unsigned int bits = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		bits = bits * 10 + (unsigned int)(*text - '0');
		if (bits > max)
			return -EINVAL;
	}
	*ret_bits = (uint8_t)bits;
	return 0;
}

int network_parse_address(const char *text, struct network_address *ret_address)
{
	struct network_address address = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	uint8_t bits_max = address.family == AF_INET6 ? 128 : 32;
	const char *slash = strchr(text, '/');
	size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
	char copy[INET6_ADDRSTRLEN];

	if (length >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	address.prefix_bits = bits_max;
	if (inet_pton(address.family, copy, address.bytes) != 1 ||
	    (slash != NULL && parse_bits(slash + 1, bits_max, &address.prefix_bits) < 0))
		return -EINVAL;
	*ret_address = address;
	return 0;
}

static size_t address_bytes(const struct network_address *address)
{
	return address->family == AF_INET6 ? 16 : 4;
}

/* A request with its fixed part of `length` bytes, which is zeroed and returned. */
static void *request_begin(struct request *request, int type, int flags, size_t length)
{
	memset(request, 0, sizeof(*request));
	request->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(length);
	request->head.nlmsg_type = (uint16_t)type;
	request->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	return NLMSG_DATA(&request->head);
}

static void request_attribute(struct request *request, int type, const void *data, size_t length)
{
	struct rtattr *attribute =
		(struct rtattr *)((char *)request + NLMSG_ALIGN(request->head.nlmsg_len));

	attribute->rta_type = (unsigned short)type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(length);
	memcpy(RTA_DATA(attribute), data, length);
	request->head.nlmsg_len =
		(uint32_t)(NLMSG_ALIGN(request->head.nlmsg_len) + RTA_ALIGN(attribute->rta_len));
}

/* Sends, and waits for the kernel's word. 0 or -errno. */
static int request_send(int fd, struct request *request)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[REQUEST_BYTES_MAX];
	} answer;
	ssize_t n;

	if (send(fd, request, request->head.nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(answer.head) + sizeof(answer.error.error) ||
	    answer.head.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
}

static int set_link_up(int fd, int index, uint32_t mtu)
{
	struct request request;
	struct ifinfomsg *link = request_begin(&request, RTM_NEWLINK, 0, sizeof(*link));

	link->ifi_index = index;
	link->ifi_flags = IFF_UP;
	link->ifi_change = IFF_UP;
	if (mtu >= MTU_MIN)
		request_attribute(&request, IFLA_MTU, &mtu, sizeof(mtu));
	return request_send(fd, &request);
}

static int add_address(int fd, int index, const struct network_address *address)
{
	struct request request;
	struct ifaddrmsg *message = request_begin(&request, RTM_NEWADDR,
						  NLM_F_CREATE | NLM_F_REPLACE, sizeof(*message));

	message->ifa_family = (uint8_t)address->family;
	message->ifa_prefixlen = address->prefix_bits;
	message->ifa_index = (uint32_t)index;
	/* Nobody else is there: an address that has to be probed first is of no use meanwhile. */
	message->ifa_flags = address->family == AF_INET6 ? IFA_F_NODAD : 0;
	request_attribute(&request, IFA_LOCAL, address->bytes, address_bytes(address));
	request_attribute(&request, IFA_ADDRESS, address->bytes, address_bytes(address));
	return request_send(fd, &request);
}

static int add_default_route(int fd, int index, const struct network_address *gateway)
{
	struct request request;
	struct rtmsg *route =
		request_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*route));

	route->rtm_family = (uint8_t)gateway->family;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_protocol = RTPROT_STATIC;
	route->rtm_scope = RT_SCOPE_UNIVERSE;
	route->rtm_type = RTN_UNICAST;
	request_attribute(&request, RTA_GATEWAY, gateway->bytes, address_bytes(gateway));
	request_attribute(&request, RTA_OIF, &index, sizeof(index));
	return request_send(fd, &request);
}

static int fail(struct failure *failure, int r, const char *what, const char *text)
{
	errno = -r;
	return failure_set_errno(failure, CODE_SET_UP, "network: cannot %s %s", what, text);
}

static int set_up_family(int fd, int index, const char *address_text, const char *gateway_text,
			 struct failure *failure)
{
	struct network_address address, gateway;
	int r;

	if (address_text == NULL)
		return 0;
	r = network_parse_address(address_text, &address);
	if (r == 0)
		r = add_address(fd, index, &address);
	if (r < 0)
		return fail(failure, r, "give " INTERFACE " the address", address_text);
	if (gateway_text == NULL)
		return 0;
	r = network_parse_address(gateway_text, &gateway);
	if (r == 0)
		r = add_default_route(fd, index, &gateway);
	if (r < 0)
		return fail(failure, r, "make the default route go through", gateway_text);
	return 0;
}

static bool has_interface(void *name)
{
	return if_nametoindex(name) != 0;
}

static int set_up_interface(int fd, const struct wire_config *config, struct failure *failure)
{
	int index, r;

	if (!uevent_wait(has_interface, (void *)INTERFACE, DEVICE_TIMEOUT_NS))
		return failure_set(failure, CODE_SET_UP, "network: there is no " INTERFACE);
	index = (int)if_nametoindex(INTERFACE);
	/* Before it is up: addresses come from the configuration and from nowhere else. */
	(void)file_write("/proc/sys/net/ipv6/conf/" INTERFACE "/accept_ra", "0");
	(void)file_write("/proc/sys/net/ipv6/conf/" INTERFACE "/disable_ipv6",
			 config->address6 != NULL ? "0" : "1");
	r = set_link_up(fd, index, config->mtu);
	if (r < 0)
		return fail(failure, r, "bring up", INTERFACE);
	if (set_up_family(fd, index, config->address, config->gateway, failure) < 0)
		return -1;
	return set_up_family(fd, index, config->address6, config->gateway6, failure);
}

int network_set_up(const struct wire_config *config, struct failure *failure)
{
	struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int r;

	if (fd < 0)
		return fail(failure, -errno, "speak", "rtnetlink");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	r = set_link_up(fd, (int)if_nametoindex("lo"), 0);
	if (r < 0)
		return fail(failure, r, "bring up", "lo");
	for (size_t i = 0; i < ARRAY_SIZE(sysctls); i++)
		(void)file_write(sysctls[i][0], sysctls[i][1]);
	if (config->address == NULL && config->address6 == NULL)
		return 0;
	return set_up_interface(fd, config, failure);
}
