/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/hosts, /etc/hostname, /etc/resolv.conf: written for each boot and mounted over what the image
 * has, as Docker does, so that neither the image nor a shared root directory is changed. What cannot
 * be done is a warning: a machine without them still runs.
 */
#ifndef GUEST_ETC_H
#define GUEST_ETC_H

#include <stddef.h>

#include "wire/message.h"

/* After /run, before /dev/shm, which it uses for a moment. */
void etc_set_up(const struct wire_config *config);

/* The texts; an empty one means that the image's file stays. */
void etc_format_hosts(const struct wire_config *config, char *ret_text, size_t size);
void etc_format_hostname(const struct wire_config *config, char *ret_text, size_t size);
void etc_format_resolv_conf(const struct wire_config *config, char *ret_text, size_t size);

#endif
