/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/vmm_config.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "machine/id.h"
#include "wire/limits.h"

#define AT(member) offsetof(struct vmm_config, member)

static const struct json_field stop_fields[] = {
	{"signal", JSON_WANT_STRING, offsetof(struct machine_stop, signal)},
	{"timeout_s", JSON_WANT_INT, offsetof(struct machine_stop, timeout_s), .max = 86400},
	JSON_FIELD_END,
};

static const struct json_field fields[] = {
	{"id", JSON_WANT_STRING, AT(id), .required = true},
	{"name", JSON_WANT_STRING, AT(name)},
	{"generation", JSON_WANT_INT, AT(generation), .min = 1, .max = INT_MAX},
	{"backend", JSON_WANT_STRING, AT(backend)},
	{"libkrun_path", JSON_WANT_STRING, AT(libkrun_path)},
	{"libkrunfw_path", JSON_WANT_STRING, AT(libkrunfw_path)},
	{"qemu_path", JSON_WANT_STRING, AT(qemu_path)},
	{"virtiofsd_path", JSON_WANT_STRING, AT(virtiofsd_path)},
	{"vminit_path", JSON_WANT_STRING, AT(vminit_path)},
	{"boot_disk_path", JSON_WANT_STRING, AT(boot_disk_path)},
	{"net_path", JSON_WANT_STRING, AT(net_path)},
	{"machine_dir", JSON_WANT_STRING, AT(machine_dir), .required = true},
	{"run_dir", JSON_WANT_STRING, AT(run_dir), .required = true},
	{"cache_dir", JSON_WANT_STRING, AT(cache_dir)},
	{"vcpus", JSON_WANT_INT, AT(vcpus), .min = 1, .max = LIMIT_VCPUS_MAX},
	{"memory_mib", JSON_WANT_INT, AT(memory_mib), .min = LIMIT_MEMORY_MIB_MIN,
	 .max = LIMIT_MEMORY_MIB_MAX},
	{"image_path", JSON_WANT_STRING, AT(image_path)},
	{"disk_path", JSON_WANT_STRING, AT(disk_path)},
	{"rootfs_path", JSON_WANT_STRING, AT(rootfs_path)},
	{"volumes", JSON_WANT_CUSTOM, AT(volumes), .read = machine_volumes_read},
	{"exec", JSON_WANT_STRINGS, AT(exec), .required = true, .max = LIMIT_ARGS},
	{"env", JSON_WANT_STRINGS, AT(env), .max = LIMIT_ENV},
	{"workdir", JSON_WANT_STRING, AT(workdir)},
	{"user", JSON_WANT_STRING, AT(user)},
	{"hostname", JSON_WANT_STRING, AT(hostname)},
	{"tty", JSON_WANT_BOOL, AT(tty)},
	{"stop", JSON_WANT_OBJECT, AT(stop), .fields = stop_fields},
	{"network", JSON_WANT_CUSTOM, AT(network), .read = machine_network_read},
	{"mac", JSON_WANT_STRING, AT(mac)},
	{"ports", JSON_WANT_CUSTOM, AT(ports), .read = machine_ports_read},
	{"log_bytes_max", JSON_WANT_INT, AT(log_bytes_max), .min = 65536, .max = INT_MAX},
	{"log_files", JSON_WANT_INT, AT(log_files), .min = 1, .max = 100},
	{"ready_timeout_s", JSON_WANT_INT, AT(ready_timeout_s), .min = 1, .max = 3600},
	JSON_FIELD_END,
};

void vmm_config_init(struct vmm_config *config)
{
	*config = (struct vmm_config){
		.generation = 1,
		.backend = mem_strdup("auto"),
		.vcpus = 1,
		.memory_mib = 256,
		.stop = {.signal = mem_strdup("SIGTERM"), .timeout_s = 10},
		.log_bytes_max = 10 * MIB,
		.log_files = 3,
		.ready_timeout_s = 60,
	};
}

void vmm_config_done(struct vmm_config *config)
{
	for (const struct json_field *field = fields; field->name != NULL; field++) {
		char *base = (char *)config + field->offset;

		if (field->type == JSON_WANT_STRING)
			free(*(char **)base);
		else if (field->type == JSON_WANT_STRINGS)
			strv_free(*(char ***)base);
	}
	free(config->stop.signal);
	machine_volumes_done(&config->volumes);
	machine_network_done(&config->network);
	machine_ports_done(&config->ports);
	*config = (struct vmm_config){0};
}

static int check(const struct vmm_config *config, struct err *err)
{
	if (!machine_id_is_valid(config->id))
		return err_set(err, EINVAL, "id is not a machine's id");
	if ((config->image_path == NULL) == (config->rootfs_path == NULL))
		return err_set(err, EINVAL,
			       "exactly one of image_path and rootfs_path must be given");
	if (config->image_path != NULL && config->disk_path == NULL)
		return err_set(err, EINVAL, "disk_path is missing");
	for (size_t i = 0; i < config->volumes.count; i++) {
		if (config->volumes.items[i].host_path == NULL)
			return err_set(err, EINVAL, "volumes[%zu].host_path is missing", i);
	}
	if (strv_length(config->exec) == 0)
		return err_set(err, EINVAL, "exec must name a program");
	if (config->network.mode == MACHINE_NETWORK_USER && config->mac == NULL)
		return err_set(err, EINVAL, "mac is missing");
	return 0;
}

int vmm_config_parse(struct vmm_config *config, const char *text, size_t length, struct err *err)
{
	_cleanup_json_ json_t *object = NULL;
	int r;

	r = json_parse(text, length, &object, err);
	if (r < 0)
		return r;
	r = json_read(object, "", fields, config, err);
	if (r < 0)
		return r;
	return check(config, err);
}

/* Everything but nested structures has one way to be written, by its type. */
static void write_field(struct jsonw *w, const struct vmm_config *config,
			const struct json_field *field)
{
	const char *base = (const char *)config + field->offset;

	switch (field->type) {
	case JSON_WANT_STRING:
		jsonw_string(w, field->name, *(char *const *)base);
		break;
	case JSON_WANT_BOOL:
		jsonw_bool(w, field->name, *(const bool *)base);
		break;
	case JSON_WANT_INT:
		jsonw_int(w, field->name, *(const long long *)base);
		break;
	case JSON_WANT_STRINGS:
		jsonw_strings(w, field->name, *(char **const *)base);
		break;
	default:
		break;
	}
}

void vmm_config_write(struct jsonw *w, const struct vmm_config *config)
{
	jsonw_object_begin(w, NULL);
	for (const struct json_field *field = fields; field->name != NULL; field++)
		write_field(w, config, field);
	jsonw_object_begin(w, "stop");
	jsonw_string(w, "signal", config->stop.signal);
	jsonw_int(w, "timeout_s", config->stop.timeout_s);
	jsonw_object_end(w);
	machine_volumes_write(w, "volumes", &config->volumes);
	machine_network_write(w, &config->network);
	machine_ports_write(w, "ports", &config->ports);
	jsonw_object_end(w);
}
