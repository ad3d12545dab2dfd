/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/strv.h"
#include "machine/net_config.h"
#include "wire/signal.h"

/* A symlink or a missing directory shows only in the guest, as a root that cannot be mounted. */
static int add_share(struct plan *plan, const char *field, const char *path, struct err *err)
{
	struct plan_share *share = &plan->shares[plan->share_count];
	struct stat st;
	int r;

	r = path_resolve(path, &share->path);
	if (r < 0)
		return err_set_errno(err, -r, "%s '%s'", field, path);
	plan->share_count++;
	if (stat(share->path, &st) < 0)
		return err_set_errno(err, errno, "%s '%s'", field, path);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "%s '%s' is not a directory", field, path);
	if (access(share->path, R_OK | X_OK) < 0)
		return err_set_errno(err, errno, "%s '%s'", field, path);
	return 0;
}

static int check_disk(const char *field, const char *path, int mode, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set_errno(err, errno, "%s '%s'", field, path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s '%s' is not a regular file", field, path);
	if (access(path, mode) < 0)
		return err_set_errno(err, errno, "%s '%s'", field, path);
	return 0;
}

static int plan_root(struct plan *plan, struct err *err)
{
	const struct vmm_config *config = plan->config;
	int r;

	if (config->rootfs_path == NULL) {
		r = check_disk("image", config->image_path, R_OK, err);
		if (r >= 0)
			r = check_disk("disk", config->disk_path, R_OK | W_OK, err);
		return r;
	}
	plan->root_is_share = true;
	r = add_share(plan, "rootfs_path", config->rootfs_path, err);
	strcpy(plan->shares[0].tag, PLAN_ROOT_TAG);
	return r;
}

static int plan_volumes(struct plan *plan, struct err *err)
{
	const struct machine_volumes *volumes = &plan->config->volumes;

	if (volumes->count > LIMIT_VOLUMES)
		return err_set(err, EINVAL, "a machine has at most %d volumes", LIMIT_VOLUMES);
	for (size_t i = 0; i < volumes->count; i++) {
		struct plan_share *share = &plan->shares[plan->share_count];
		int r;

		snprintf(share->tag, sizeof(share->tag), "vol%u", (unsigned)i);
		share->guest_path = volumes->items[i].guest_path;
		share->read_only = volumes->items[i].read_only;
		r = add_share(plan, "volume", volumes->items[i].host_path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check(const struct plan *plan, struct err *err)
{
	const struct vmm_config *config = plan->config;

	if (config->vcpus < 1 || config->vcpus > LIMIT_VCPUS_MAX)
		return err_set(err, EINVAL, "vcpus must be between 1 and %d", LIMIT_VCPUS_MAX);
	if (config->memory_mib < LIMIT_MEMORY_MIB_MIN || config->memory_mib > LIMIT_MEMORY_MIB_MAX)
		return err_set(err, EINVAL, "memory_mib must be between %d and %d",
			       LIMIT_MEMORY_MIB_MIN, LIMIT_MEMORY_MIB_MAX);
	return 0;
}

int plan_make(struct plan *plan, const struct vmm_config *config, const struct host *host,
	      struct err *err)
{
	int r;

	*plan = (struct plan){
		.config = config,
		.host = host,
		.has_net = config->network.mode == MACHINE_NETWORK_USER,
		.stop_signal = WIRE_SIGTERM,
	};
	if (config->stop.signal != NULL)
		plan->stop_signal = wire_signal_parse(config->stop.signal);
	if (plan->stop_signal < 0)
		return err_set(err, EINVAL, "stop.signal '%s' is not a signal",
			       config->stop.signal);
	if (plan->has_net && (config->mac == NULL || mac_parse(config->mac, plan->mac) < 0))
		return err_set(err, EINVAL, "mac is not an Ethernet address");
	r = check(plan, err);
	if (r >= 0)
		r = plan_root(plan, err);
	if (r >= 0)
		r = plan_volumes(plan, err);
	return r;
}

void plan_done(struct plan *plan)
{
	for (size_t i = 0; i < PLAN_SHARES_MAX; i++)
		free(plan->shares[i].path);
	*plan = (struct plan){0};
}

static void fill_process(const struct vmm_config *config, struct wire_process *process)
{
	size_t n = 0;

	for (size_t i = 0; i < strv_length(config->exec) && i < LIMIT_ARGS; i++)
		process->argv[i] = config->exec[i];
	for (n = 0; n < strv_length(config->env) && n < LIMIT_ENV; n++)
		process->env[n] = config->env[n];
	process->workdir = config->workdir;
	process->user = config->user;
	process->tty = config->tty;
}

static void fill_volumes(const struct plan *plan, struct wire_config *ret_config)
{
	for (size_t i = plan->root_is_share; i < plan->share_count; i++) {
		ret_config->volumes[ret_config->volume_count++] = (struct wire_volume){
			.virtiofs_tag = plan->shares[i].tag,
			.guest_path = plan->shares[i].guest_path,
			.read_only = plan->shares[i].read_only,
		};
	}
}

void plan_fill_guest(const struct plan *plan, struct wire_config *ret_config)
{
	*ret_config = (struct wire_config){
		.root_kind = plan->root_is_share ? WIRE_ROOT_DIRECTORY : WIRE_ROOT_OVERLAY,
		.root_tag = plan->root_is_share ? PLAN_ROOT_TAG : NULL,
		.hostname = plan->config->hostname,
		.realtime_ns = (uint64_t)clock_realtime_ns(),
	};
	if (plan->has_net) {
		ret_config->address = NET_GUEST_CIDR;
		ret_config->gateway = NET_GATEWAY;
		ret_config->address6 = NET6_GUEST_CIDR;
		ret_config->gateway6 = NET6_GATEWAY;
		ret_config->dns[0] = NET_GATEWAY;
		ret_config->mtu = LIMIT_MTU;
	}
	fill_volumes(plan, ret_config);
	fill_process(plan->config, &ret_config->process);
}
