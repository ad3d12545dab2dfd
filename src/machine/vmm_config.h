/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What krun-api tells krun-vmm on its standard input, as JSON: everything is resolved (image
 * defaults merged, names of programs found, paths absolute). One struct, one reader, one writer.
 */
#ifndef MACHINE_VMM_CONFIG_H
#define MACHINE_VMM_CONFIG_H

#include "machine/config.h"

struct vmm_config {
	char *id, *name;
	long long generation; /* counts the starts of the machine, from 1 */
	char *backend;        /* "auto", "libkrun", "qemu", "fake" */

	/* Programs and files of the installation. NULL: the usual names. */
	char *libkrun_path, *libkrunfw_path;
	char *qemu_path, *virtiofsd_path;
	char *vminit_path;    /* for the fake backend: the host build of it */
	char *boot_disk_path; /* qemu: ext4 with vminit in it */
	char *net_path;       /* krun-net */

	char *machine_dir; /* log/, record.json, exit.json */
	char *run_dir;     /* sockets; exists, 0700 */
	char *cache_dir;   /* may hold the kernel taken from libkrunfw */

	long long vcpus, memory_mib;
	char *image_path, *disk_path; /* ext4: read-only image and the machine's own disk */
	char *rootfs_path;            /* instead of the two */
	struct machine_volumes volumes;

	char **exec; /* argv of the workload, at least one */
	char **env;
	char *workdir, *user, *hostname;
	bool tty;
	struct machine_stop stop;

	struct machine_network network;
	char *mac; /* "02:00:00:00:00:00" */
	struct machine_ports ports;

	long long log_bytes_max, log_files; /* of one file; how many */
	long long ready_timeout_s;
};

/* Defaults: backend auto, 1 vCPU, 256 MiB, stop SIGTERM after 10 s, 3 logs of 10 MiB, 60 s. */
void vmm_config_init(struct vmm_config *config);
void vmm_config_done(struct vmm_config *config);
int vmm_config_parse(struct vmm_config *config, const char *text, size_t length,
		     struct err *err) _must_check_;
void vmm_config_write(struct jsonw *w, const struct vmm_config *config);

#endif
