/* SPDX-License-Identifier: Apache-2.0 */
/* What the platforms call differently in struct stat: cp_host_linux.c, cp_host_darwin.c. */
#ifndef CLI_CP_HOST_H
#define CLI_CP_HOST_H

#include <sys/stat.h>
#include <time.h>

#include "wire/tar.h"

struct timespec cp_host_mtime(const struct stat *st);
void cp_host_device(const struct stat *st, struct wire_tar_entry *entry);

#endif
