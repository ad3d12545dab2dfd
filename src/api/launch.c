/* SPDX-License-Identifier: Apache-2.0 */
#include "launch.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/strv.h"
#include "image.h"
#include "machine.h"
#include "machine/net_config.h"
#include "server.h"
#include "store.h"

static int check_directory(const char *field, const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set(err, EDOM, "%s '%.200s': %s", field, path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, EDOM, "%s '%.200s' is not a directory", field, path);
	if (access(path, R_OK | X_OK) < 0)
		return err_set(err, EDOM, "%s '%.200s' cannot be read by this user", field, path);
	return 0;
}

/* What a path of the host leads to, after all symlinks. `ret_path` is on the heap. */
static int resolve_share(const char *field, const char *path, char **ret_path, struct err *err)
{
	_cleanup_free_ char *resolved = NULL;
	struct stat st;
	int r = path_resolve(path, &resolved);

	if (r < 0)
		return err_set(err, EDOM, "%s '%.200s': %s", field, path, strerror(-r));
	if (strcmp(resolved, "/") == 0)
		return err_set(err, EDOM,
			       "%s '%.200s' is the whole of the host: share a directory in it",
			       field, path);
	if (stat(resolved, &st) < 0)
		return err_set(err, EDOM, "%s '%.200s': %s", field, path, strerror(errno));
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return err_set(err, EDOM, "%s '%.200s' is neither a directory nor a file", field,
			       path);
	if (access(resolved, S_ISDIR(st.st_mode) ? R_OK | X_OK : R_OK) < 0)
		return err_set(err, EDOM, "%s '%.200s' cannot be read by this user", field, path);
	*ret_path = take_ptr(resolved);
	return 0;
}

/* The paths of shares, resolved; those of named volumes stay NULL. Frees none that it gave. */
static int resolve_shares(const struct machine_volumes *volumes, char *ret_paths[LIMIT_VOLUMES],
			  struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < volumes->count && r >= 0; i++) {
		char field[64];

		if (volumes->items[i].host_path == NULL)
			continue;
		snprintf(field, sizeof(field), "config.volumes[%zu].host_path", i);
		r = resolve_share(field, volumes->items[i].host_path, &ret_paths[i], err);
	}
	return r;
}

int launch_check_host(const struct machine_config *config, struct err *err)
{
	uint64_t memory_mib = proc_host_memory_mib();
	char *paths[LIMIT_VOLUMES] = {NULL};
	unsigned cpus = proc_host_cpus();
	int r = 0;

	if (config->vcpus > (long long)cpus)
		return err_set(err, EDOM, "config.vcpus is %lld and this host has %u",
			       config->vcpus, cpus);
	if ((uint64_t)config->memory_mib > memory_mib)
		return err_set(err, EDOM, "config.memory_mib is %lld and this host has %llu MiB",
			       config->memory_mib, (unsigned long long)memory_mib);
	if (config->rootfs_path != NULL)
		r = check_directory("config.rootfs_path", config->rootfs_path, err);
	if (r >= 0)
		r = resolve_shares(&config->volumes, paths, err);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		free(paths[i]);
	return r;
}

int launch_merge(const struct machine *machine, struct merged *ret_merged, struct err *err)
{
	struct store_image image = {0};
	int r;

	if (machine->image_digest == NULL)
		return merge(&machine->config, NULL, ret_merged, err);
	r = store_image_find(machine->server->store, machine->image_digest, &image, err);
	if (r == -ENOENT)
		return err_set(err, EDOM, "config.image: %s is gone", machine->image_digest);
	if (r >= 0)
		r = merge(&machine->config, image.config, ret_merged, err);
	store_image_done(&image);
	return r;
}

int launch_merged(struct machine *machine, const struct merged **ret_merged, struct err *err)
{
	struct merged *merged;
	int r;

	if (machine->merged == NULL) {
		merged = mem_new(struct merged);
		r = launch_merge(machine, merged, err);
		if (r < 0) {
			free(merged);
			return r;
		}
		machine->merged = merged;
	}
	*ret_merged = machine->merged;
	return 0;
}

void launch_forget(struct machine *machine)
{
	if (machine->merged == NULL)
		return;
	merged_done(machine->merged);
	free(take_ptr(machine->merged));
}

static int fill_root(const struct machine *machine, struct vmm_config *config, struct err *err)
{
	if (machine->image_digest == NULL) {
		config->rootfs_path = mem_strdup(machine->config.rootfs_path);
		return 0;
	}
	config->image_path = image_path(machine->server, machine->image_digest);
	config->disk_path = machine_disk_path(machine);
	if (access(config->image_path, R_OK) < 0)
		return err_set(err, EDOM, "config.image: its file '%s': %s", config->image_path,
			       strerror(errno));
	return 0;
}

/* Volumes as krun-vmm gets them: each with the path of what it is on the host. */
static int fill_volumes(const struct machine *machine, struct vmm_config *config, struct err *err)
{
	char *paths[LIMIT_VOLUMES] = {NULL};
	int r;

	machine_volumes_copy(&config->volumes, &machine->config.volumes);
	r = resolve_shares(&config->volumes, paths, err);
	for (size_t i = 0; i < config->volumes.count; i++) {
		struct machine_volume *volume = &config->volumes.items[i];

		if (volume->volume != NULL)
			paths[i] = volume_path(machine->server, volume->volume);
		if (r >= 0 && volume->volume != NULL && access(paths[i], R_OK | W_OK) < 0)
			r = err_set(err, EDOM, "config.volumes[%zu].volume: its file '%s': %s", i,
				    paths[i], strerror(errno));
		mem_replace(&volume->host_path, paths[i]);
		free(paths[i]);
	}
	return r;
}

static void fill_network(const struct machine *machine, struct vmm_config *config)
{
	const struct machine_network *network = &machine->network;
	uint8_t mac[6];
	char text[18];

	config->network.mode = network->mode;
	/* No list and an empty one are not the same. */
	if (network->allow_list != NULL)
		config->network.allow_list = strv_copy(network->allow_list);
	if (network->dns != NULL)
		config->network.dns = strv_copy(network->dns);
	machine_id_mac(machine->id, mac);
	mac_format(mac, text);
	config->mac = mem_strdup(text);
	machine_ports_copy(&config->ports, &machine->config.ports);
}

static void fill_installation(const struct machine *machine, struct vmm_config *config)
{
	const struct server *server = machine->server;
	const struct settings *settings = server->settings;

	mem_replace(&config->backend, settings->backend);
	config->libkrun_path = mem_strdup_or_null(settings->libkrun_path);
	config->libkrunfw_path = mem_strdup_or_null(settings->libkrunfw_path);
	config->qemu_path = mem_strdup_or_null(settings->qemu_path);
	config->vminit_path = mem_strdup(settings->vminit_path);
	config->boot_disk_path = mem_strdup(settings->boot_disk_path);
	config->net_path = mem_strdup(settings->net_path);
	config->machine_dir = machine_directory(machine);
	config->run_dir = machine_run_directory(machine);
	config->cache_dir = mem_strdup(server->cache_dir);
}

static void fill_process(const struct machine *machine, struct merged *merged,
			 struct vmm_config *config)
{
	config->exec = take_ptr(merged->exec);
	config->env = take_ptr(merged->env);
	config->workdir = take_ptr(merged->workdir);
	config->user = take_ptr(merged->user);
	config->hostname = mem_strdup(machine->config.hostname != NULL ? machine->config.hostname
								       : machine->name);
	config->tty = machine->config.tty;
	mem_replace(&config->stop.signal, merged->stop_signal);
	config->stop.timeout_s = machine->config.stop.timeout_s;
}

int launch_config(const struct machine *machine, struct vmm_config *ret_config, struct err *err)
{
	_cleanup_(merged_done) struct merged merged = {0};
	struct vmm_config config;
	int r = launch_check_host(&machine->config, err);

	if (r >= 0)
		r = launch_merge(machine, &merged, err);
	if (r < 0)
		return r;
	vmm_config_init(&config);
	config.id = mem_strdup(machine->id);
	config.name = mem_strdup(machine->name);
	config.generation = machine->generation;
	config.vcpus = machine->config.vcpus;
	config.memory_mib = machine->config.memory_mib;
	fill_installation(machine, &config);
	fill_process(machine, &merged, &config);
	fill_network(machine, &config);
	r = fill_root(machine, &config, err);
	if (r >= 0)
		r = fill_volumes(machine, &config, err);
	if (r < 0) {
		vmm_config_done(&config);
		return r;
	}
	*ret_config = config;
	return 0;
}
