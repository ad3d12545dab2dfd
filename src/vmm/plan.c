/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "machine/net_config.h"
#include "wire/signal.h"

/* A symlink or a missing directory shows only in the guest, as a root that cannot be mounted. */
static int resolve_share(const char *field, const char *path, char **ret_path, bool *ret_is_file,
			 struct err *err)
{
	_cleanup_free_ char *resolved = NULL;
	struct stat st;
	int r;

	r = path_resolve(path, &resolved);
	if (r < 0)
		return err_set_errno(err, -r, "%s '%s'", field, path);
	if (stat(resolved, &st) < 0)
		return err_set_errno(err, errno, "%s '%s'", field, path);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return err_set(
			err, EINVAL,
			"%s '%s' is neither a directory nor a regular file: nothing else can "
			"be shared with a guest",
			field, path);
	if (access(resolved, S_ISDIR(st.st_mode) ? R_OK | X_OK : R_OK) < 0)
		return err_set_errno(err, errno, "%s '%s'", field, path);
	*ret_path = take_ptr(resolved);
	*ret_is_file = S_ISREG(st.st_mode);
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

static void add_disk(struct plan *plan, const char *id, const char *path, bool read_only)
{
	struct plan_disk *disk = &plan->disks[plan->disk_count++];

	snprintf(disk->id, sizeof(disk->id), "%s", id);
	disk->path = path;
	disk->read_only = read_only;
}

static int plan_root(struct plan *plan, struct err *err)
{
	const struct vmm_config *config = plan->config;
	struct plan_share *share = &plan->shares[0];
	bool is_file = false;
	int r;

	if (config->rootfs_path == NULL) {
		r = check_disk("image", config->image_path, R_OK, err);
		if (r >= 0)
			r = check_disk("disk", config->disk_path, R_OK | W_OK, err);
		add_disk(plan, "image", config->image_path, true);
		add_disk(plan, "disk", config->disk_path, false);
		return r;
	}
	plan->root_is_share = true;
	plan->share_count = 1;
	strcpy(share->tag, PLAN_ROOT_TAG);
	r = resolve_share("rootfs_path", config->rootfs_path, &share->path, &is_file, err);
	if (r >= 0 && is_file)
		return err_set(err, ENOTDIR, "rootfs_path '%s' is not a directory",
			       config->rootfs_path);
	return r;
}

static int add_named_volume(struct plan *plan, const struct machine_volume *volume, const char *id,
			    struct err *err)
{
	_cleanup_free_ char *field = mem_printf("volume %s:", volume->volume);

	for (size_t i = 0; i < plan->disk_count; i++) {
		if (strcmp(plan->disks[i].path, volume->host_path) == 0)
			return err_set(err, EINVAL, "volume %s is given twice", volume->volume);
	}
	add_disk(plan, id, volume->host_path, volume->read_only);
	return check_disk(field, volume->host_path, volume->read_only ? R_OK : R_OK | W_OK, err);
}

static int add_share(struct plan *plan, const struct machine_volume *volume, const char *id,
		     struct err *err)
{
	struct plan_share *share = &plan->shares[plan->share_count++];
	bool is_file = false;
	int r;

	snprintf(share->tag, sizeof(share->tag), "%s", id);
	share->read_only = volume->read_only;
	r = resolve_share("volume", volume->host_path, &share->path, &is_file, err);
	if (r >= 0 && strcmp(share->path, "/") == 0)
		return err_set(
			err, EINVAL,
			"volume '%s' is the host's whole file system: name a directory in it",
			volume->host_path);
	if (r >= 0 && is_file) {
		share->file = share->path;
		share->path =
			mem_printf("%s/" PLAN_SHARED_FILES "/%s", plan->config->machine_dir, id);
	}
	return r;
}

static int plan_volumes(struct plan *plan, struct err *err)
{
	const struct machine_volumes *volumes = &plan->config->volumes;

	if (volumes->count > LIMIT_VOLUMES)
		return err_set(err, EINVAL, "a machine has at most %d volumes", LIMIT_VOLUMES);
	for (size_t i = 0; i < volumes->count; i++) {
		const struct machine_volume *volume = &volumes->items[i];
		bool named = volume->volume != NULL;
		char id[8];
		int r;

		snprintf(id, sizeof(id), "vol%u", (unsigned)i % LIMIT_VOLUMES);
		plan->volumes[plan->volume_count++] = (struct plan_volume){
			.guest_path = volume->guest_path,
			.read_only = volume->read_only,
			.share = named ? -1 : (int)plan->share_count,
			.disk = named ? (int)plan->disk_count : -1,
		};
		r = named ? add_named_volume(plan, volume, id, err)
			  : add_share(plan, volume, id, err);
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
	for (size_t i = 0; i < PLAN_SHARES_MAX; i++) {
		free(plan->shares[i].path);
		free(plan->shares[i].file);
	}
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
	for (size_t i = 0; i < plan->volume_count; i++) {
		const struct plan_volume *volume = &plan->volumes[i];
		const struct plan_share *share =
			volume->share >= 0 ? &plan->shares[volume->share] : NULL;

		ret_config->volumes[ret_config->volume_count++] = (struct wire_volume){
			.virtiofs_tag = share != NULL ? share->tag : NULL,
			.source = share != NULL && share->file != NULL ? PLAN_FILE_NAME : NULL,
			.guest_path = volume->guest_path,
			.read_only = volume->read_only,
		};
	}
}

static const char *disk_device(size_t index)
{
	static const char *const devices[] = {
		"/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd", "/dev/vde", "/dev/vdf", "/dev/vdg",
		"/dev/vdh", "/dev/vdi", "/dev/vdj", "/dev/vdk", "/dev/vdl", "/dev/vdm", "/dev/vdn",
		"/dev/vdo", "/dev/vdp", "/dev/vdq", "/dev/vdr", "/dev/vds", "/dev/vdt", "/dev/vdu",
	};

	assert(index < ARRAY_SIZE(devices));
	return devices[index];
}

void plan_fill_disks(const struct plan *plan, size_t first, struct wire_config *config)
{
	if (!plan->root_is_share) {
		config->lower_device = disk_device(first);
		config->upper_device = disk_device(first + 1);
	}
	for (size_t i = 0; i < plan->volume_count; i++) {
		if (plan->volumes[i].disk >= 0)
			config->volumes[i].device =
				disk_device(first + (size_t)plan->volumes[i].disk);
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
