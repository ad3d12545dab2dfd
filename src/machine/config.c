/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of a request is in tables of fields; its rules, which need more than one value or a
 * parser, are small checks after reading. A wrong shape is -EINVAL, a broken rule -EDOM.
 */
#include "machine/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "machine/allow.h"
#include "machine/id.h"
#include "wire/limits.h"
#include "wire/signal.h"

#define STOP_TIMEOUT_S_DEFAULT 10
#define TTL_S_MAX              (10LL * 365 * 86400)

static const char *const network_modes[] = {
	[MACHINE_NETWORK_USER] = "user",
	[MACHINE_NETWORK_NONE] = "none",
};

/* ---- rules of single values ---- */

static int check_path(const char *path, const char *value, struct err *err)
{
	if (value == NULL)
		return 0;
	if (value[0] != '/')
		return err_set(err, EDOM, "%s must be an absolute path, not '%.64s'", path, value);
	if (strlen(value) > LIMIT_PATH_BYTES)
		return err_set(err, EDOM, "%s is longer than %d bytes", path, LIMIT_PATH_BYTES);
	return 0;
}

static bool is_address(const char *text)
{
	struct in6_addr address;

	return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

static int check_hostname(const char *hostname, struct err *err)
{
	size_t length;

	if (hostname == NULL)
		return 0;
	length = strlen(hostname);
	if (length == 0 || length > LIMIT_HOSTNAME_BYTES || hostname[0] == '-' ||
	    strspn(hostname, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") !=
		    length)
		return err_set(err, EDOM,
			       "config.hostname must be 1 to %d letters, digits, '.' and '-'",
			       LIMIT_HOSTNAME_BYTES);
	return 0;
}

/* ---- ports ---- */

static const struct json_field port_fields[] = {
	{"host_ip", JSON_WANT_STRING, offsetof(struct machine_port, host_ip)},
	{"host_port", JSON_WANT_INT, offsetof(struct machine_port, host_port), .max = 65535},
	{"guest_port", JSON_WANT_INT, offsetof(struct machine_port, guest_port), .required = true,
	 .min = 1, .max = 65535},
	{"protocol", JSON_WANT_STRING, offsetof(struct machine_port, protocol)},
	JSON_FIELD_END,
};

static void port_done(struct machine_port *port)
{
	free(port->host_ip);
	free(port->protocol);
}

static bool same_host_port(const struct machine_port *a, const struct machine_port *b)
{
	return a->host_port != 0 && a->host_port == b->host_port &&
	       strcmp(a->host_ip, b->host_ip) == 0 && strcmp(a->protocol, b->protocol) == 0;
}

static int check_port(const struct machine_ports *ports, const struct machine_port *port,
		      const char *path, struct err *err)
{
	if (!is_address(port->host_ip))
		return err_set(err, EDOM, "%s.host_ip is not an IP address: '%.64s'", path,
			       port->host_ip);
	if (strcmp(port->protocol, "tcp") != 0 && strcmp(port->protocol, "udp") != 0)
		return err_set(err, EDOM, "%s.protocol must be 'tcp' or 'udp', not '%.16s'", path,
			       port->protocol);
	for (size_t i = 0; i < ports->count; i++) {
		if (same_host_port(&ports->items[i], port))
			return err_set(err, EDOM, "%s: host port %lld/%s is asked for twice", path,
				       port->host_port, port->protocol);
	}
	return 0;
}

static int read_port(json_t *item, const char *path, void *target, struct err *err)
{
	struct machine_ports *ports = target;
	struct machine_port port = {0};
	int r;

	r = json_read(item, path, port_fields, &port, err);
	if (r >= 0 && port.host_ip == NULL)
		port.host_ip = mem_strdup("127.0.0.1");
	if (r >= 0 && port.protocol == NULL)
		port.protocol = mem_strdup("tcp");
	if (r >= 0)
		r = check_port(ports, &port, path, err);
	if (r < 0) {
		port_done(&port);
		return r;
	}
	ports->items = mem_realloc_array(ports->items, ports->count + 1, sizeof(port));
	ports->items[ports->count++] = port;
	return 0;
}

int machine_ports_read(json_t *array, const char *path, void *ports, struct err *err)
{
	machine_ports_done(ports);
	return json_read_array(array, path, LIMIT_PORTS, read_port, ports, err);
}

void machine_ports_write(struct jsonw *w, const char *name, const struct machine_ports *ports)
{
	jsonw_array_begin(w, name);
	for (size_t i = 0; i < ports->count; i++) {
		const struct machine_port *port = &ports->items[i];

		jsonw_object_begin(w, NULL);
		jsonw_string(w, "host_ip", port->host_ip);
		jsonw_int(w, "host_port", port->host_port);
		jsonw_int(w, "guest_port", port->guest_port);
		jsonw_string(w, "protocol", port->protocol);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

void machine_ports_copy(struct machine_ports *to, const struct machine_ports *from)
{
	machine_ports_done(to);
	to->items = mem_realloc_array(NULL, from->count, sizeof(*to->items));
	to->count = from->count;
	for (size_t i = 0; i < from->count; i++) {
		to->items[i] = from->items[i];
		to->items[i].host_ip = mem_strdup(from->items[i].host_ip);
		to->items[i].protocol = mem_strdup(from->items[i].protocol);
	}
}

void machine_ports_done(struct machine_ports *ports)
{
	for (size_t i = 0; i < ports->count; i++)
		port_done(&ports->items[i]);
	free(ports->items);
	*ports = (struct machine_ports){0};
}

/* ---- volumes ---- */

static const struct json_field volume_fields[] = {
	{"host_path", JSON_WANT_STRING, offsetof(struct machine_volume, host_path)},
	{"volume", JSON_WANT_STRING, offsetof(struct machine_volume, volume)},
	{"guest_path", JSON_WANT_STRING, offsetof(struct machine_volume, guest_path),
	 .required = true},
	{"read_only", JSON_WANT_BOOL, offsetof(struct machine_volume, read_only)},
	JSON_FIELD_END,
};

static void volume_done(struct machine_volume *volume)
{
	free(volume->host_path);
	free(volume->volume);
	free(volume->guest_path);
}

static int check_volume(const struct machine_volumes *volumes, const struct machine_volume *volume,
			const char *path, struct err *err)
{
	int r;

	r = check_path(path, volume->host_path, err);
	if (r >= 0)
		r = check_path(path, volume->guest_path, err);
	if (r < 0)
		return r;
	if (strspn(volume->guest_path, "/") == strlen(volume->guest_path))
		return err_set(err, EDOM, "%s.guest_path must not be '/'", path);
	for (size_t i = 0; i < volumes->count; i++) {
		if (strcmp(volumes->items[i].guest_path, volume->guest_path) == 0)
			return err_set(err, EDOM, "%s.guest_path '%.64s' is used twice", path,
				       volume->guest_path);
	}
	return 0;
}

static int read_volume(json_t *item, const char *path, void *target, struct err *err)
{
	struct machine_volumes *volumes = target;
	struct machine_volume volume = {0};
	int r;

	r = json_read(item, path, volume_fields, &volume, err);
	if (r >= 0)
		r = check_volume(volumes, &volume, path, err);
	if (r < 0) {
		volume_done(&volume);
		return r;
	}
	volumes->items = mem_realloc_array(volumes->items, volumes->count + 1, sizeof(volume));
	volumes->items[volumes->count++] = volume;
	return 0;
}

int machine_volumes_read(json_t *array, const char *path, void *volumes, struct err *err)
{
	machine_volumes_done(volumes);
	return json_read_array(array, path, LIMIT_VOLUMES, read_volume, volumes, err);
}

void machine_volumes_write(struct jsonw *w, const char *name, const struct machine_volumes *volumes)
{
	jsonw_array_begin(w, name);
	for (size_t i = 0; i < volumes->count; i++) {
		jsonw_object_begin(w, NULL);
		if (volumes->items[i].host_path != NULL)
			jsonw_string(w, "host_path", volumes->items[i].host_path);
		if (volumes->items[i].volume != NULL)
			jsonw_string(w, "volume", volumes->items[i].volume);
		jsonw_string(w, "guest_path", volumes->items[i].guest_path);
		jsonw_bool(w, "read_only", volumes->items[i].read_only);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

void machine_volumes_copy(struct machine_volumes *to, const struct machine_volumes *from)
{
	machine_volumes_done(to);
	to->items = mem_realloc_array(NULL, from->count, sizeof(*to->items));
	to->count = from->count;
	for (size_t i = 0; i < from->count; i++) {
		to->items[i] = from->items[i];
		to->items[i].host_path = mem_strdup_or_null(from->items[i].host_path);
		to->items[i].volume = mem_strdup_or_null(from->items[i].volume);
		to->items[i].guest_path = mem_strdup(from->items[i].guest_path);
	}
}

void machine_volumes_done(struct machine_volumes *volumes)
{
	for (size_t i = 0; i < volumes->count; i++)
		volume_done(&volumes->items[i]);
	free(volumes->items);
	*volumes = (struct machine_volumes){0};
}

/* ---- network ---- */

static int read_mode(json_t *value, const char *path, void *target, struct err *err)
{
	if (!json_is_string(value))
		return err_set(err, EINVAL, "%s must be a string", path);
	for (size_t i = 0; i < ARRAY_SIZE(network_modes); i++) {
		if (strcmp(json_string_value(value), network_modes[i]) == 0) {
			*(enum machine_network_mode *)target = (enum machine_network_mode)i;
			return 0;
		}
	}
	return err_set(err, EDOM, "%s must be 'user' or 'none', not '%.32s'", path,
		       json_string_value(value));
}

static const struct json_field network_fields[] = {
	{"mode", JSON_WANT_CUSTOM, offsetof(struct machine_network, mode), .read = read_mode},
	{"allow_list", JSON_WANT_STRINGS, offsetof(struct machine_network, allow_list),
	 .max = LIMIT_ALLOW_RULES},
	{"dns", JSON_WANT_STRINGS, offsetof(struct machine_network, dns), .max = LIMIT_DNS_SERVERS},
	JSON_FIELD_END,
};

static int check_network(const struct machine_network *network, struct err *err)
{
	struct allow_rule rule;

	for (size_t i = 0; network->allow_list != NULL && network->allow_list[i] != NULL; i++) {
		if (allow_rule_parse(network->allow_list[i], &rule, err) < 0) {
			err_prefix(err, "network.allow_list[%zu]", i);
			err->errnum = EDOM;
			return -EDOM;
		}
	}
	for (size_t i = 0; network->dns != NULL && network->dns[i] != NULL; i++) {
		if (!is_address(network->dns[i]))
			return err_set(err, EDOM, "network.dns[%zu] is not an IP address: '%.64s'",
				       i, network->dns[i]);
	}
	return 0;
}

int machine_network_read(json_t *object, const char *path, void *network, struct err *err)
{
	struct err ignored = {0};
	int r;

	r = json_read(object, path, network_fields, network, err);
	return r < 0 ? r : check_network(network, err != NULL ? err : &ignored);
}

void machine_network_write(struct jsonw *w, const struct machine_network *network)
{
	jsonw_object_begin(w, "network");
	jsonw_string(w, "mode", network_modes[network->mode]);
	if (network->allow_list == NULL)
		jsonw_null(w, "allow_list");
	else
		jsonw_strings(w, "allow_list", network->allow_list);
	jsonw_strings(w, "dns", network->dns);
	jsonw_object_end(w);
}

void machine_network_done(struct machine_network *network)
{
	strv_free(network->allow_list);
	strv_free(network->dns);
	*network = (struct machine_network){0};
}

/* ---- config ---- */

#define AT(member) offsetof(struct machine_config, member)

static const struct json_field stop_fields[] = {
	{"signal", JSON_WANT_STRING, offsetof(struct machine_stop, signal)},
	{"timeout_s", JSON_WANT_INT, offsetof(struct machine_stop, timeout_s), .max = 86400},
	JSON_FIELD_END,
};

static const struct json_field restart_fields[] = {
	{"policy", JSON_WANT_STRING, offsetof(struct machine_restart, policy)},
	{"max_retries", JSON_WANT_INT, offsetof(struct machine_restart, max_retries),
	 .max = 1000000},
	JSON_FIELD_END,
};

static const struct json_field config_fields[] = {
	{"image", JSON_WANT_STRING, AT(image)},
	{"rootfs_path", JSON_WANT_STRING, AT(rootfs_path)},
	{"vcpus", JSON_WANT_INT, AT(vcpus), .min = 1, .max = LIMIT_VCPUS_MAX},
	{"memory_mib", JSON_WANT_INT, AT(memory_mib), .min = LIMIT_MEMORY_MIB_MIN,
	 .max = LIMIT_MEMORY_MIB_MAX},
	{"disk_mib", JSON_WANT_INT, AT(disk_mib), .min = LIMIT_DISK_MIB_MIN,
	 .max = LIMIT_DISK_MIB_MAX},
	{"exec_path", JSON_WANT_STRING, AT(exec_path)},
	{"args", JSON_WANT_STRINGS, AT(args), .max = LIMIT_ARGS - 1},
	{"env", JSON_WANT_MAP, AT(env), .max = LIMIT_ENV - 8},
	{"workdir", JSON_WANT_STRING, AT(workdir)},
	{"user", JSON_WANT_STRING, AT(user)},
	{"hostname", JSON_WANT_STRING, AT(hostname)},
	{"tty", JSON_WANT_BOOL, AT(tty)},
	{"volumes", JSON_WANT_CUSTOM, AT(volumes), .read = machine_volumes_read},
	{"ports", JSON_WANT_CUSTOM, AT(ports), .read = machine_ports_read},
	{"stop", JSON_WANT_OBJECT, AT(stop), .fields = stop_fields},
	{"restart", JSON_WANT_OBJECT, AT(restart), .fields = restart_fields},
	{"auto_remove", JSON_WANT_BOOL, AT(auto_remove)},
	{"ttl_s", JSON_WANT_INT, AT(ttl_s), .max = TTL_S_MAX},
	JSON_FIELD_END,
};

void machine_config_init(struct machine_config *config)
{
	*config = (struct machine_config){
		.vcpus = 1,
		.memory_mib = 256,
		.disk_mib = 4096,
		.stop = {.timeout_s = STOP_TIMEOUT_S_DEFAULT},
		.restart = {.policy = mem_strdup("no"), .max_retries = 5},
	};
}

void machine_config_done(struct machine_config *config)
{
	free(config->image);
	free(config->rootfs_path);
	free(config->exec_path);
	strv_free(config->args);
	strv_free(config->env);
	free(config->workdir);
	free(config->user);
	free(config->hostname);
	machine_volumes_done(&config->volumes);
	machine_ports_done(&config->ports);
	free(config->stop.signal);
	free(config->restart.policy);
	*config = (struct machine_config){0};
}

static size_t process_bytes(const struct machine_config *config)
{
	size_t bytes = 0;

	for (size_t i = 0; config->args != NULL && config->args[i] != NULL; i++)
		bytes += strlen(config->args[i]) + 1;
	for (size_t i = 0; config->env != NULL && config->env[i] != NULL; i++)
		bytes += strlen(config->env[i]) + 1;
	return bytes;
}

static int check_process(const struct machine_config *config, struct err *err)
{
	int r;

	if (config->exec_path != NULL && config->exec_path[0] == '\0')
		return err_set(err, EDOM, "config.exec_path must not be empty");
	if (config->exec_path != NULL && strlen(config->exec_path) > LIMIT_PATH_BYTES)
		return err_set(err, EDOM, "config.exec_path is longer than %d bytes",
			       LIMIT_PATH_BYTES);
	if (config->user != NULL &&
	    (config->user[0] == '\0' || strlen(config->user) > LIMIT_NAME_BYTES * 2))
		return err_set(err, EDOM, "config.user is empty or too long");
	if (process_bytes(config) > LIMIT_PROCESS_BYTES)
		return err_set(err, EDOM,
			       "config.args and config.env together are longer than %lu bytes",
			       LIMIT_PROCESS_BYTES);
	r = check_path("config.workdir", config->workdir, err);
	if (r < 0)
		return r;
	if (config->stop.signal != NULL && wire_signal_parse(config->stop.signal) < 0)
		return err_set(err, EDOM, "config.stop.signal is not a signal: '%.32s'",
			       config->stop.signal);
	return check_hostname(config->hostname, err);
}

static int check_end(const struct machine_config *config, struct err *err)
{
	static const char *const policies[] = {"no", "on-failure", "always"};
	const char *policy = config->restart.policy;
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
		known = known || strcmp(policy, policies[i]) == 0;
	if (!known)
		return err_set(err, EDOM,
			       "config.restart.policy must be 'no', 'on-failure' or 'always', not "
			       "'%.32s'",
			       policy);
	if (config->auto_remove && strcmp(policy, "always") == 0)
		return err_set(err, EDOM,
			       "config.auto_remove and config.restart.policy 'always' contradict "
			       "each other: such a machine never ends by itself");
	return 0;
}

static int check_volumes(const struct machine_volumes *volumes, struct err *err)
{
	for (size_t i = 0; i < volumes->count; i++) {
		const struct machine_volume *volume = &volumes->items[i];

		if ((volume->host_path == NULL) == (volume->volume == NULL))
			return err_set(err, EDOM,
				       "config.volumes[%zu] must have exactly one of host_path and "
				       "volume",
				       i);
		for (size_t j = 0; j < i && volume->volume != NULL; j++) {
			if (volumes->items[j].volume != NULL &&
			    strcmp(volumes->items[j].volume, volume->volume) == 0)
				return err_set(err, EDOM,
					       "config.volumes[%zu]: the volume '%s' stands in "
					       "volumes[%zu] already",
					       i, volume->volume, j);
		}
		if (volume->volume != NULL && machine_name_check(volume->volume, err) < 0) {
			if (err != NULL)
				err->errnum = EDOM;
			err_prefix(err, "config.volumes[%zu].volume", i);
			return -EDOM;
		}
	}
	return 0;
}

static int check_config(const struct machine_config *config, struct err *err)
{
	int r;

	if ((config->image == NULL) == (config->rootfs_path == NULL))
		return err_set(err, EDOM,
			       "exactly one of config.image and config.rootfs_path must be given");
	if (config->image != NULL && config->image[0] == '\0')
		return err_set(err, EDOM, "config.image must not be empty");
	if (config->rootfs_path != NULL && config->exec_path == NULL)
		return err_set(err, EDOM, "config.exec_path is needed with config.rootfs_path");
	r = check_path("config.rootfs_path", config->rootfs_path, err);
	if (r >= 0)
		r = check_process(config, err);
	if (r >= 0)
		r = check_volumes(&config->volumes, err);
	if (r >= 0)
		r = check_end(config, err);
	return r;
}

int machine_config_read(json_t *object, const char *path, void *config, struct err *err)
{
	int r;

	r = json_read(object, path, config_fields, config, err);
	return r < 0 ? r : check_config(config, err);
}

void machine_config_write(struct jsonw *w, const struct machine_config *config)
{
	jsonw_object_begin(w, "config");
	if (config->image != NULL)
		jsonw_string(w, "image", config->image);
	if (config->rootfs_path != NULL)
		jsonw_string(w, "rootfs_path", config->rootfs_path);
	jsonw_int(w, "vcpus", config->vcpus);
	jsonw_int(w, "memory_mib", config->memory_mib);
	jsonw_int(w, "disk_mib", config->disk_mib);
	jsonw_string(w, "exec_path", config->exec_path);
	if (config->args != NULL)
		jsonw_strings(w, "args", config->args);
	else
		jsonw_null(w, "args");
	jsonw_map(w, "env", config->env);
	jsonw_string(w, "workdir", config->workdir);
	jsonw_string(w, "user", config->user);
	jsonw_string(w, "hostname", config->hostname);
	jsonw_bool(w, "tty", config->tty);
	machine_volumes_write(w, "volumes", &config->volumes);
	machine_ports_write(w, "ports", &config->ports);
	jsonw_object_begin(w, "stop");
	jsonw_string(w, "signal", config->stop.signal);
	jsonw_int(w, "timeout_s", config->stop.timeout_s);
	jsonw_object_end(w);
	jsonw_object_begin(w, "restart");
	jsonw_string(w, "policy", config->restart.policy);
	jsonw_int(w, "max_retries", config->restart.max_retries);
	jsonw_object_end(w);
	jsonw_bool(w, "auto_remove", config->auto_remove);
	jsonw_int(w, "ttl_s", config->ttl_s);
	jsonw_object_end(w);
}

/* ---- request ---- */

static const struct json_field request_fields[] = {
	{"name", JSON_WANT_STRING, offsetof(struct machine_request, name)},
	{"config", JSON_WANT_CUSTOM, offsetof(struct machine_request, config), .required = true,
	 .read = machine_config_read},
	{"network", JSON_WANT_CUSTOM, offsetof(struct machine_request, network),
	 .read = machine_network_read},
	{"labels", JSON_WANT_MAP, offsetof(struct machine_request, labels), .max = LIMIT_LABELS},
	JSON_FIELD_END,
};

void machine_request_init(struct machine_request *request)
{
	*request = (struct machine_request){0};
	machine_config_init(&request->config);
}

void machine_request_done(struct machine_request *request)
{
	free(request->name);
	machine_config_done(&request->config);
	machine_network_done(&request->network);
	strv_free(request->labels);
	*request = (struct machine_request){0};
}

static int check_request(const struct machine_request *request, struct err *err)
{
	if (request->name != NULL && machine_name_check(request->name, err) < 0) {
		if (err != NULL)
			err->errnum = EDOM;
		return -EDOM;
	}
	if (request->network.mode == MACHINE_NETWORK_NONE && request->config.ports.count > 0)
		return err_set(err, EDOM, "config.ports needs network.mode 'user'");
	for (size_t i = 0; request->labels != NULL && request->labels[i] != NULL; i++) {
		if (strlen(request->labels[i]) > LIMIT_LABEL_BYTES)
			return err_set(err, EDOM, "labels: '%.32s...' is longer than %d bytes",
				       request->labels[i], LIMIT_LABEL_BYTES);
	}
	return 0;
}

int machine_request_read(struct machine_request *request, json_t *body, struct err *err)
{
	int r;

	r = json_read(body, "", request_fields, request, err);
	return r < 0 ? r : check_request(request, err);
}
