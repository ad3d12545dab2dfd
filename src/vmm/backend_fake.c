/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests: vminit's code for workload and sessions as an ordinary process of this computer. There
 * is no guest, no kernel and no disk, so everything but these happens in milliseconds.
 */
#include "backend.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "enter.h"

static int probe(const struct vmm_config *config, const struct host *host, struct err *note,
		 struct err *err)
{
	(void)host;
	if (config->vminit_path == NULL || access(config->vminit_path, X_OK) < 0)
		return err_set(err, ENOTSUP, "for tests only: needs a host build of vminit");
	err_set(note, ENOTSUP, "for tests only");
	return 0;
}

static int check(const struct plan *plan, struct err *err)
{
	if (plan->config->vminit_path == NULL)
		return err_set(err, EINVAL, "vminit_path is missing");
	return 0;
}

static int print(const struct plan *plan, struct buf *out, struct err *err)
{
	if (buf_printf(out, "%s\n--control-fd\n3\n--session-path\n%s/s\n",
		       plan->config->vminit_path, plan->config->run_dir) < 0)
		return err_set(err, ENOBUFS, "the plan is too long");
	return 0;
}

static void fill_guest(const struct plan *plan, struct wire_config *config)
{
	(void)plan;
	config->root_kind = WIRE_ROOT_HOST;
	config->root_tag = NULL;
	config->volume_count = 0;
	/* The network that it is in is this computer's. */
	config->address = config->gateway = config->address6 = config->gateway6 = NULL;
	config->dns[0] = NULL;
	config->hostname = NULL;
}

/* vminit is PID 1 elsewhere and has its descriptors to itself; here they are put in place. */
static int place_fds(struct err *err)
{
	if (dup2(ENTER_FD_CONSOLE, STDOUT_FILENO) < 0 || dup2(ENTER_FD_CONTROL, ENTER_FD_LINK) < 0)
		return err_set_errno(err, errno, "cannot place descriptors");
	for (int fd = ENTER_FD_LINK + 1; fd < ENTER_FD_PORT; fd++)
		close(fd);
	return 0;
}

static int enter(const struct plan *plan, struct err *err)
{
	_cleanup_free_ char *socket_path = path_join(plan->config->run_dir, "s");
	char control_fd[] = "3";
	char *argv[] = {plan->config->vminit_path,
			(char[]){"--control-fd"},
			control_fd,
			(char[]){"--session-path"},
			socket_path,
			NULL};
	int r;

	if (access(argv[0], X_OK) < 0)
		return err_set(err, ENOTSUP, "vminit_path '%s': %s", argv[0], strerror(errno));
	r = enter_guard_exec(ENTER_FD_LINK, err);
	if (r < 0)
		return r;
	enter_wait();
	r = place_fds(err);
	if (r < 0)
		return r;
	execv(argv[0], argv);
	return err_set_errno(err, errno, "cannot execute '%s'", argv[0]);
}

static void explain(int status, const struct tail *messages, struct buf *out)
{
	backend_explain_status("the fake guest", status, messages, out);
}

const struct backend backend_fake = {
	.name = "fake",
	.listens = true,
	.probe = probe,
	.check = check,
	.print = print,
	.fill_guest = fill_guest,
	.enter = enter,
	.explain = explain,
};
