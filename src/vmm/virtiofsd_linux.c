/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-only is enforced here, on the host. The Rust program does it itself from 1.13 on; for the
 * others, which then run as root, the directory is bound read-only in a mount namespace of the VM
 * process's own.
 */
#include "virtiofsd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "base/strv.h"
#include "mounts.h"

#define VERSION_TIMEOUT_MS 5000
#define LISTEN_FD          3
#define SOCKET_NAME        "v"
/* Rust: 1.13 has --readonly. */
#define READONLY_MAJOR 1
#define READONLY_MINOR 13

static const char *const usual_places[] = {
	"virtiofsd",
	"/usr/libexec/virtiofsd",
	"/usr/lib/virtiofsd",
	"/usr/lib/qemu/virtiofsd",
};

struct daemon {
	char *path;
	bool rust;
	int major, minor;
};

static int find_program(const struct plan *plan, char **ret_path, struct err *err)
{
	const char *given = plan->config->virtiofsd_path;

	if (given != NULL) {
		if (path_find_program(given, ret_path) >= 0)
			return 0;
		return err_set(err, EINVAL, "virtiofsd '%s' cannot be run", given);
	}
	for (size_t i = 0; i < ARRAY_SIZE(usual_places); i++) {
		if (path_find_program(usual_places[i], ret_path) >= 0)
			return 0;
	}
	return err_set(err, EINVAL,
		       "sharing a directory with a guest of QEMU needs virtiofsd, which was not "
		       "found: install the package virtiofsd");
}

static int read_version(const char *path, struct buf *out)
{
	char *argv[] = {(char[]){"virtiofsd"}, (char[]){"--version"}, NULL};
	int64_t deadline_ms = clock_monotonic_ms() + VERSION_TIMEOUT_MS;
	int fds[2], r;
	pid_t pid;

	r = fd_pipe(fds);
	if (r < 0)
		return r;
	struct spawn_fd list[] = {{fds[1], STDOUT_FILENO}, {fds[1], STDERR_FILENO}};
	struct spawn spawn = {.path = path, .argv = argv, .fds = list, .fd_count = 2};
	r = spawn_program(&spawn, &pid, NULL);
	fd_close(fds[1]);
	if (r >= 0) {
		struct pollfd pollfd = {.fd = fds[0], .events = POLLIN};
		char *tail;
		ssize_t n = 0;

		while (buf_reserve(out, 256, &tail) >= 0 &&
		       poll(&pollfd, 1, clock_left_ms(deadline_ms)) > 0 &&
		       (n = read(fds[0], tail, 256)) > 0)
			buf_commit(out, (size_t)n);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	fd_close(fds[0]);
	return r;
}

/* "virtiofsd version 7.2.22 (Debian ...)" is QEMU's, "virtiofsd 1.13.0" the Rust one. */
static int identify(struct daemon *program)
{
	_cleanup_buf_ struct buf text;

	buf_init(&text, 1024);
	if (read_version(program->path, &text) < 0 || text.data == NULL)
		return -EINVAL;
	program->rust = strstr(text.data, "FUSE kernel interface") == NULL;
	return sscanf(text.data, program->rust ? "virtiofsd %d.%d" : "virtiofsd version %d.%d",
		      &program->major, &program->minor) == 2
		       ? 0
		       : -EINVAL;
}

static bool has_readonly(const struct daemon *program)
{
	return program->rust &&
	       (program->major > READONLY_MAJOR ||
		(program->major == READONLY_MAJOR && program->minor >= READONLY_MINOR));
}

static bool wants_readonly(const struct plan *plan)
{
	for (size_t i = 0; i < plan->share_count; i++) {
		if (plan->shares[i].read_only)
			return true;
	}
	return false;
}

static int check_daemon(const struct plan *plan, struct daemon *program, struct err *err)
{
	int r;

	r = find_program(plan, &program->path, err);
	if (r < 0)
		return r;
	if (identify(program) < 0)
		return err_set(err, EINVAL, "'%s' is not a virtiofsd that is known here",
			       program->path);
	if (geteuid() == 0)
		return 0;
	if (!program->rust)
		return err_set(err, EINVAL,
			       "sharing a directory with a guest of QEMU needs root with this "
			       "virtiofsd (%s, QEMU's own): use an image, install the package "
			       "virtiofsd of a newer system and give its path, or use libkrun",
			       program->path);
	if (wants_readonly(plan) && !has_readonly(program))
		return err_set(err, EINVAL,
			       "a read-only volume with a guest of QEMU needs virtiofsd 1.13 or "
			       "newer (%s is %d.%d): give a newer one, or use libkrun",
			       program->path, program->major, program->minor);
	return 0;
}

int virtiofsd_check(const struct plan *plan, struct err *err)
{
	struct daemon program = {0};
	int r;

	if (plan->share_count == 0)
		return 0;
	r = check_daemon(plan, &program, err);
	free(program.path);
	return r;
}

static char *bind_path(const struct plan *plan, size_t i)
{
	return path_join(plan->config->run_dir, plan->shares[i].tag);
}

/* Everything that is mounted from here on is seen by this process and its children only. */
static int bind_readonly(const struct plan *plan, size_t i, char **ret_path, struct err *err)
{
	_cleanup_free_ char *path = bind_path(plan, i);
	const char *source = plan->shares[i].path;
	int r;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set_errno(err, errno, "cannot make '%s'", path);
	r = mount_bind(source, path, true);
	if (r < 0)
		return err_set_errno(err, -r,
				     "cannot mount '%s' read-only for a guest of QEMU: give "
				     "virtiofsd 1.13 or newer, or use libkrun",
				     source);
	*ret_path = take_ptr(path);
	return 0;
}

static char **make_argv(const struct daemon *program, const char *source, bool read_only)
{
	char **argv = NULL;

	strv_push(&argv, "virtiofsd");
	strv_push(&argv, "--fd=3");
	if (program->rust) {
		strv_push_take(&argv, mem_printf("--shared-dir=%s", source));
		/* Its namespaces need root, or more than an ordinary user has everywhere. */
		strv_push(&argv, geteuid() == 0 ? "--sandbox=chroot" : "--sandbox=none");
		strv_push(&argv, "--xattr");
		if (read_only)
			strv_push(&argv, "--readonly");
	} else {
		strv_push(&argv, "-o");
		strv_push_take(
			&argv,
			mem_printf("source=%s,sandbox=chroot,xattr,cache=auto,log_level=warn",
				   source));
		strv_push(&argv, "-f");
	}
	return argv;
}

/*
 * Its listening socket exists before it does, so that the connection to it needs no waiting, and has
 * no name afterwards.
 */
static int connect_daemon(const struct plan *plan, int *ret_listener, int *ret_connection)
{
	_cleanup_free_ char *path = path_join(plan->config->run_dir, SOCKET_NAME);
	int r;

	r = fd_unix_listen(path, 0600, ret_listener);
	if (r < 0)
		return r;
	r = fd_unix_connect(path, ret_connection);
	(void)unlink(path);
	if (r < 0)
		fd_close(*ret_listener);
	return r;
}

static int start_one(const struct plan *plan, const struct daemon *program, size_t i, int fd,
		     struct err *err)
{
	_cleanup_free_ char *bound = NULL;
	_cleanup_strv_ char **argv = NULL;
	_cleanup_fd_ int listener = -1, connection = -1;
	bool read_only = plan->shares[i].read_only;
	pid_t pid;
	int r;

	if (read_only && !has_readonly(program)) {
		r = bind_readonly(plan, i, &bound, err);
		if (r < 0)
			return r;
	}
	r = connect_daemon(plan, &listener, &connection);
	if (r < 0)
		return err_set_errno(err, -r, "cannot make a socket for virtiofsd");
	argv = make_argv(program, bound != NULL ? bound : plan->shares[i].path,
			 read_only && bound == NULL);
	struct spawn_fd list[] = {
		{STDERR_FILENO, STDOUT_FILENO},
		{STDERR_FILENO, STDERR_FILENO},
		{listener, LISTEN_FD},
	};
	struct spawn spawn = {
		.path = program->path,
		.argv = argv,
		.fds = list,
		.fd_count = ARRAY_SIZE(list),
		.die_with_parent = true,
	};
	r = spawn_program(&spawn, &pid, err);
	if (r < 0)
		return r;
	assert(connection < fd);
	/* dup2 leaves out close-on-exec: QEMU inherits it. */
	return dup2(connection, fd) < 0 ? err_set_errno(err, errno, "cannot place a descriptor")
					: 0;
}

int virtiofsd_start(const struct plan *plan, int first_fd, struct err *err)
{
	struct daemon program = {0};
	int r;

	if (plan->share_count == 0)
		return 0;
	r = check_daemon(plan, &program, err);
	if (r >= 0 && wants_readonly(plan) && !has_readonly(&program)) {
		r = mount_isolate();
		if (r < 0)
			err_set_errno(err, -r,
				      "cannot make a mount namespace for a read-only volume");
	}
	for (size_t i = 0; r >= 0 && i < plan->share_count; i++)
		r = start_one(plan, &program, i, first_fd + (int)i, err);
	free(program.path);
	return r;
}

void virtiofsd_clean(const struct plan *plan)
{
	for (size_t i = 0; i < plan->share_count; i++) {
		_cleanup_free_ char *path = bind_path(plan, i);

		(void)rmdir(path);
	}
}
