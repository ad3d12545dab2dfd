/* SPDX-License-Identifier: Apache-2.0 */
#include "publish.h"

#include <arpa/inet.h>
#include <errno.h>

static int parse_address(const struct machine_port *port, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *address4 = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *address6 = (struct sockaddr_in6 *)ret_address;

	*ret_address = (struct sockaddr_storage){0};
	if (inet_pton(AF_INET, port->host_ip, &address4->sin_addr) == 1) {
		address4->sin_family = AF_INET;
		address4->sin_port = htons((uint16_t)port->host_port);
		return 0;
	}
	if (inet_pton(AF_INET6, port->host_ip, &address6->sin6_addr) == 1) {
		address6->sin6_family = AF_INET6;
		address6->sin6_port = htons((uint16_t)port->host_port);
		return 0;
	}
	return -EINVAL;
}

static int explain(const struct machine_port *port, int error, struct err *err)
{
	bool is_ip6 = strchr(port->host_ip, ':') != NULL;
	const char *open = is_ip6 ? "[" : "", *close = is_ip6 ? "]" : "";

	switch (error) {
	case EADDRINUSE:
		return err_set(err, error, "port %s%s%s:%lld/%s is in use on the host", open,
			       port->host_ip, close, port->host_port, port->protocol);
	case EADDRNOTAVAIL:
		return err_set(err, error, "port %s%s%s:%lld/%s: the host has no such address",
			       open, port->host_ip, close, port->host_port, port->protocol);
	case EACCES:
	case EPERM:
		return err_set(
			err, error,
			"port %s%s%s:%lld/%s: this user may not open it; choose one above 1023",
			open, port->host_ip, close, port->host_port, port->protocol);
	default:
		return err_set_errno(err, error, "port %s%s%s:%lld/%s cannot be opened", open,
				     port->host_ip, close, port->host_port, port->protocol);
	}
}

static int publish_port(struct stack *stack, const struct machine_port *port,
			struct published *ret_published, struct err *err)
{
	bool is_udp = strcmp(port->protocol, "udp") == 0;
	struct sockaddr_storage host;
	uint16_t host_port;
	int r;

	if (parse_address(port, &host) < 0)
		return err_set(err, EINVAL, "host_ip '%s' is not an IP address", port->host_ip);
	r = stack_publish(stack, (const struct sockaddr *)&host, (uint16_t)port->guest_port, is_udp,
			  &host_port);
	if (r < 0)
		return explain(port, -r, err);
	*ret_published = (struct published){
		.protocol = is_udp ? IPPROTO_UDP : IPPROTO_TCP,
		.guest_port = (uint16_t)port->guest_port,
		.host_port = host_port,
	};
	return 0;
}

int publish_ports(struct stack *stack, const struct machine_ports *ports,
		  struct published_ports *ret_published, struct err *err)
{
	if (ports->count > LIMIT_PORTS)
		return err_set(err, EINVAL, "more than %d ports", LIMIT_PORTS);
	ret_published->count = 0;
	for (size_t i = 0; i < ports->count; i++) {
		int r = publish_port(stack, &ports->items[i], &ret_published->items[i], err);

		if (r < 0)
			return r;
		ret_published->count++;
	}
	return 0;
}

bool published_has(const struct published_ports *published, uint8_t protocol, uint16_t guest_port)
{
	for (size_t i = 0; i < published->count; i++) {
		const struct published *port = &published->items[i];

		if (port->protocol == protocol && port->guest_port == guest_port)
			return true;
	}
	return false;
}
