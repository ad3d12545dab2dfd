/* SPDX-License-Identifier: Apache-2.0 */
#include "etc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "platform.h"

#define STAGE      "/dev/shm"
#define TEXT_BYTES 1024

static const struct {
	const char *name;
	void (*format)(const struct wire_config *config, char *ret_text, size_t size);
} files[] = {
	{"hosts", etc_format_hosts},
	{"hostname", etc_format_hostname},
	{"resolv.conf", etc_format_resolv_conf},
};

void etc_format_hosts(const struct wire_config *config, char *ret_text, size_t size)
{
	static const char loopback[] = "127.0.0.1\tlocalhost\n"
				       "::1\tlocalhost ip6-localhost ip6-loopback\n";
	const char *address = config->address != NULL ? config->address : "127.0.1.1";
	int length = (int)strcspn(address, "/");

	if (config->hostname == NULL)
		snprintf(ret_text, size, "%s", loopback);
	else
		snprintf(ret_text, size, "%s%.*s\t%s\n", loopback, length, address,
			 config->hostname);
}

void etc_format_hostname(const struct wire_config *config, char *ret_text, size_t size)
{
	ret_text[0] = '\0';
	if (config->hostname != NULL)
		snprintf(ret_text, size, "%s\n", config->hostname);
}

void etc_format_resolv_conf(const struct wire_config *config, char *ret_text, size_t size)
{
	size_t length = 0;

	ret_text[0] = '\0';
	for (size_t i = 0; config->dns[i] != NULL && length < size; i++)
		length += (size_t)snprintf(ret_text + length, size - length, "nameserver %s\n",
					   config->dns[i]);
}

/* A link of the image may point to where nothing is yet: into /run, mostly. */
static int make_link_parent(const char *path)
{
	char target[LIMIT_PATH_BYTES + 1];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	char *slash;

	if (n <= 0)
		return -EINVAL;
	target[n] = '\0';
	slash = strrchr(target, '/');
	if (slash == NULL || slash == target)
		return -EINVAL;
	*slash = '\0';
	return chdir("/etc") < 0 ? -errno : file_make_directories(target, 0755);
}

/* Something to mount on. */
static int make_file(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);

	if (fd < 0 && errno == ENOENT && make_link_parent(path) == 0)
		fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
	return fd < 0 ? -errno : 0;
}

static int stage_file(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t length = strlen(text);

	return fd >= 0 && write(fd, text, length) == (ssize_t)length ? 0 : -errno;
}

static int put_file(const char *name, const char *text)
{
	char staged[64], path[64];
	int r;

	snprintf(staged, sizeof(staged), STAGE "/%s", name);
	snprintf(path, sizeof(path), "/etc/%s", name);
	r = stage_file(staged, text);
	if (r == 0)
		r = make_file(path);
	if (r == 0 && mount(staged, path, NULL, MS_BIND, NULL) < 0)
		r = -errno;
	return r;
}

void etc_set_up(const struct wire_config *config)
{
	char text[TEXT_BYTES];

	(void)mkdir("/etc", 0755);
	(void)mkdir(STAGE, 0755);
	if (mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64k") < 0) {
		control_warn("/etc/hosts and its like are the image's: %s", strerror(errno));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int r;

		files[i].format(config, text, sizeof(text));
		r = text[0] != '\0' ? put_file(files[i].name, text) : 0;
		if (r < 0)
			control_warn("/etc/%s is the image's: %s", files[i].name, strerror(-r));
	}
	/* The files live on where they are mounted. */
	(void)umount2(STAGE, MNT_DETACH);
	(void)!chdir("/");
}
