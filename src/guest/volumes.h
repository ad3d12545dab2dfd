/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes: shares of the host's by virtiofs, single files of them, and disks of their own. They are
 * mounted when the root is there, each over its mount point, which is made where it is missing.
 */
#ifndef GUEST_VOLUMES_H
#define GUEST_VOLUMES_H

#include "failure.h"
#include "wire/message.h"

int volumes_set_up(const struct wire_config *config, struct failure *failure);

/* Leaves disks as after a clean unmount. Nothing may be written afterwards. */
void volumes_end(void);

#endif
