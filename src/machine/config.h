/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user asks for: the body of POST /v1/machines, its rules and its defaults.
 *
 * Life cycle: machine_request_init() sets the defaults, machine_request_read() fills in from JSON,
 * machine_request_done() frees. All strings belong to the struct; NULL means not given.
 */
#ifndef MACHINE_CONFIG_H
#define MACHINE_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/jsonw.h"

struct machine_volume {
	char *host_path;  /* absolute: a directory or a file. Resolved, of a named one: its disk */
	char *volume;     /* name of a named volume; a request gives one of the two */
	char *guest_path; /* absolute, not "/" */
	bool read_only;
};

struct machine_port {
	char *host_ip;       /* IPv4 or IPv6 address; default 127.0.0.1 */
	long long host_port; /* 0: choose one */
	long long guest_port;
	char *protocol; /* "tcp" or "udp" */
};

struct machine_ports {
	struct machine_port *items;
	size_t count;
};

struct machine_volumes {
	struct machine_volume *items;
	size_t count;
};

struct machine_stop {
	char *signal; /* "SIGTERM"; NULL: the image's, else SIGTERM */
	long long timeout_s;
};

struct machine_restart {
	char *policy; /* "no" */
	long long max_retries;
};

struct machine_config {
	char *image;       /* name or digest; exactly one of image and rootfs_path */
	char *rootfs_path; /* absolute */
	long long vcpus, memory_mib, disk_mib;
	char *exec_path; /* takes the place of the image's Entrypoint */
	char **args;     /* take the place of the image's Cmd; NULL: not given */
	char **env;      /* "KEY=value" */
	char *workdir, *user, *hostname;
	bool tty;
	struct machine_volumes volumes;
	struct machine_ports ports;
	struct machine_stop stop;
	struct machine_restart restart;
	bool auto_remove;
	long long ttl_s;
};

enum machine_network_mode {
	MACHINE_NETWORK_USER,
	MACHINE_NETWORK_NONE,
};

struct machine_network {
	enum machine_network_mode mode;
	char **allow_list; /* NULL: no list; empty: nothing is allowed */
	char **dns;        /* addresses of upstream resolvers; NULL: the host's */
};

struct machine_request {
	char *name; /* NULL: make one */
	struct machine_config config;
	struct machine_network network;
	char **labels; /* "key=value" */
};

void machine_request_init(struct machine_request *request);
void machine_request_done(struct machine_request *request);

/*
 * Reads and checks a body. The sentence names the field. -EINVAL: malformed (400: not JSON, unknown
 * field, wrong type). -EDOM: well-formed but impossible (422: a value outside its rules).
 * What only the host can tell (paths, images, memory) is not checked here.
 */
int machine_request_read(struct machine_request *request, json_t *body,
			 struct err *err) _must_check_;

/* Written as given with the defaults filled in: members "config", "network" and "labels". */
void machine_config_write(struct jsonw *w, const struct machine_config *config);
void machine_network_write(struct jsonw *w, const struct machine_network *network);

/*
 * Readers for tables of fields (base/json.h): `config` is a struct machine_config, `network` a struct
 * machine_network, both initialised.
 */
int machine_config_read(json_t *object, const char *path, void *config,
			struct err *err) _must_check_;
int machine_network_read(json_t *object, const char *path, void *network,
			 struct err *err) _must_check_;
void machine_config_init(struct machine_config *config);
void machine_config_done(struct machine_config *config);
void machine_network_done(struct machine_network *network);

void machine_ports_write(struct jsonw *w, const char *name, const struct machine_ports *ports);
int machine_ports_read(json_t *array, const char *path, void *ports, struct err *err) _must_check_;
void machine_ports_copy(struct machine_ports *to, const struct machine_ports *from);
void machine_ports_done(struct machine_ports *ports);

void machine_volumes_write(struct jsonw *w, const char *name,
			   const struct machine_volumes *volumes);
int machine_volumes_read(json_t *array, const char *path, void *volumes,
			 struct err *err) _must_check_;
void machine_volumes_copy(struct machine_volumes *to, const struct machine_volumes *from);
void machine_volumes_done(struct machine_volumes *volumes);

#endif
