/* SPDX-License-Identifier: Apache-2.0 */
#include "transport.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "file.h"
#include "uevent.h"

#define CONTROL_TIMEOUT_NS (10 * NS_PER_S)

#define PORTS_DIR      "/sys/class/virtio-ports"
#define DEVICES_DIR    "/sys/bus/virtio/devices"
#define VSOCK_DEVICE   "0x0013"
#define VSOCK_FAMILY   40
#define VSOCK_CID_HOST 2

/* musl has no <linux/vm_sockets.h>. */
struct vsock_address {
	uint16_t family;
	uint16_t reserved;
	uint32_t port;
	uint32_t cid;
	uint8_t flags;
	uint8_t zero[3];
};

static enum { TRANSPORT_UNKNOWN, TRANSPORT_VSOCK, TRANSPORT_PORTS } transport;

struct search {
	const char *directory;
	const char *attribute;
	const char *value;
	char name[64]; /* of the entry that has it */
};

/* A device whose sysfs attribute has this value. */
static bool find_device(void *arg)
{
	struct search *search = arg;
	DIR *dir = opendir(search->directory);
	struct dirent *entry;
	bool found = false;

	while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
		char path[512], value[64];

		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= sizeof(search->name))
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", search->directory, entry->d_name,
			 search->attribute);
		found = file_read_line(path, value, sizeof(value)) == 0 &&
			strcmp(value, search->value) == 0;
		if (found)
			strcpy(search->name, entry->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	return found;
}

static bool find_transport(void *arg)
{
	struct search port = {PORTS_DIR, "name", "krun.control", ""};
	struct search vsock = {DEVICES_DIR, "device", VSOCK_DEVICE, ""};

	(void)arg;
	if (find_device(&port))
		transport = TRANSPORT_PORTS;
	else if (find_device(&vsock))
		transport = TRANSPORT_VSOCK;
	return transport != TRANSPORT_UNKNOWN;
}

static bool is_connected(void *arg)
{
	struct pollfd fd = {.fd = *(int *)arg, .events = POLLOUT};

	return poll(&fd, 1, 0) > 0 && (fd.revents & POLLHUP) == 0;
}

/* -ENODEV, -ENOTCONN: not (yet). Without a timeout it looks once. */
static int open_port(const char *name, uint64_t timeout_ns)
{
	struct search search = {PORTS_DIR, "name", name, ""};
	_cleanup_fd_ int fd = -1;
	char path[96];

	if (!uevent_wait(find_device, &search, timeout_ns))
		return -ENODEV;
	snprintf(path, sizeof(path), "/dev/%s", search.name);
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	/* The port is announced before its other end is. */
	if (!uevent_wait(is_connected, &fd, timeout_ns))
		return -ENOTCONN;
	return take_fd(fd);
}

static int dial_vsock(uint32_t port, bool *ret_connecting)
{
	struct vsock_address address = {
		.family = VSOCK_FAMILY,
		.port = port,
		.cid = VSOCK_CID_HOST,
	};
	_cleanup_fd_ int fd = socket(VSOCK_FAMILY, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	*ret_connecting = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0;
	if (*ret_connecting && errno != EINPROGRESS)
		return -errno;
	return take_fd(fd);
}

static int wait_until_connected(int fd)
{
	struct pollfd item = {.fd = fd, .events = POLLOUT};
	socklen_t length = sizeof(int);
	int error = 0;

	if (poll(&item, 1, (int)(CONTROL_TIMEOUT_NS / NS_PER_MS)) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -errno;
	return -error;
}

int transport_dial_control(void)
{
	_cleanup_fd_ int fd = -1;
	bool connecting = false;
	int r;

	if (!uevent_wait(find_transport, NULL, CONTROL_TIMEOUT_NS))
		return -ENODEV;
	if (transport == TRANSPORT_PORTS)
		return open_port("krun.control", CONTROL_TIMEOUT_NS);
	fd = dial_vsock(TRANSPORT_CONTROL_PORT, &connecting);
	if (fd < 0)
		return fd;
	r = connecting ? wait_until_connected(fd) : 0;
	return r < 0 ? r : take_fd(fd);
}

int transport_dial_session(uint32_t port, bool *ret_connecting)
{
	char name[32];
	int r;

	*ret_connecting = false;
	if (transport == TRANSPORT_VSOCK)
		return dial_vsock(TRANSPORT_SESSION_PORT, ret_connecting);
	snprintf(name, sizeof(name), "krun.session.%u", port);
	r = open_port(name, 0);
	return r == -ENODEV || r == -ENOENT || r == -ENOTCONN ? -EAGAIN : r;
}

bool transport_has_session_ports(void)
{
	return transport == TRANSPORT_PORTS;
}
