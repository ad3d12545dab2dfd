/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a machine is: its id (UUIDv7, RFC 9562), its name, and what is derived from the id.
 */
#ifndef MACHINE_ID_H
#define MACHINE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define MACHINE_ID_BYTES        37 /* 36 characters and a NUL */
#define MACHINE_ID_PREFIX_CHARS 8  /* shortest prefix that may stand for an id */
#define MACHINE_RUN_NAME_BYTES  13 /* the last 12 hexadecimal digits and a NUL */

/* A new id; ids made later sort later. */
void machine_id_make(char ret_id[MACHINE_ID_BYTES]);

bool machine_id_is_valid(const char *id);

/* True for 8 to 36 characters that an id can begin with. */
bool machine_id_is_prefix(const char *text);

/*
 * Name of the machine's directory of sockets, short because a socket's path is limited: the random
 * end of its id. `id` must be valid.
 */
void machine_id_run_name(const char *id, char ret_name[MACHINE_RUN_NAME_BYTES]);

/* Locally administered unicast MAC address of the machine's interface. */
void machine_id_mac(const char *id, uint8_t ret_mac[6]);

/* "[a-z0-9][a-z0-9_.-]{0,62}", and not what could be taken for an id. -EINVAL with the rule. */
int machine_name_check(const char *name, struct err *err) _must_check_;

/* A name for those who gave none, "quiet-otter-3f9a". */
void machine_name_make(char ret_name[64]);

#endif
