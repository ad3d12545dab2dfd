/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a machine to what krun-vmm is told. The host is looked at here: paths, images, memory.
 */
#ifndef API_LAUNCH_H
#define API_LAUNCH_H

#include "base/err.h"
#include "machine/vmm_config.h"
#include "merge.h"

struct machine;
struct server;

/* Can this host ever run it? -EDOM with the field. */
int launch_check_host(const struct machine_config *config, struct err *err) _must_check_;

/* The machine's process with the image's defaults. -EDOM. */
int launch_merge(const struct machine *machine, struct merged *ret_merged,
		 struct err *err) _must_check_;

/* The same, kept until launch_forget(): neither an image nor a machine's configuration changes. */
int launch_merged(struct machine *machine, const struct merged **ret_merged,
		  struct err *err) _must_check_;
void launch_forget(struct machine *machine);

/* `ret_config` is initialised by the callee on success. -EDOM. */
int launch_config(const struct machine *machine, struct vmm_config *ret_config,
		  struct err *err) _must_check_;

#endif
