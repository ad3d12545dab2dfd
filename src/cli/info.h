/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_INFO_H
#define CLI_INFO_H

#include <jansson.h>

#include "client.h"

/* GET /v1/info. */
int info_get(struct client *client, json_t **ret_info, struct err *err) _must_check_;

#endif
