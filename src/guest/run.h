/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /run: empty at each boot, but with the directories that the image has there. Images rely on them
 * (/run/postgresql with its owner and mode) and nothing in them may outlive a boot (stale pid files).
 */
#ifndef GUEST_RUN_H
#define GUEST_RUN_H

#include "failure.h"

int run_set_up(struct failure *failure);

#endif
