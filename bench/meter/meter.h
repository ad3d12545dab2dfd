/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter: one small program that measures the others from outside, so that a scenario in a guest with nothing but busybox
 * can time, load and weigh. Each subcommand prints lines of `name value...` and leaves 0, or says on standard error what
 * went wrong and leaves 1.
 */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include <stddef.h>
#include <stdint.h>

#define METER_ROUNDS_MAX      1000
#define METER_CONNECTIONS_MAX 4096
#define METER_TIMEOUT_MS      120000

/* The subcommands. `argv[0]` is the subcommand's own name. */
int meter_http(char **argv);
int meter_json(char **argv);
int meter_load(char **argv);
int meter_follow(char **argv);
int meter_session(char **argv);
int meter_spawn(char **argv);
int meter_weigh(char **argv);

/* Prints `name best middle` of `count` durations, which it sorts. */
void meter_print(const char *name, double *values, size_t count);

double meter_now_ms(void);

#endif
