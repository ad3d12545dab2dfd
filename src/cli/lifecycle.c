/* SPDX-License-Identifier: Apache-2.0 */
/* start, stop, rm. Each prints the name of what it did, as docker's do. */
#include <errno.h>
#include <stdio.h>

#include "cli.h"
#include "machines.h"
#include "wire/signal.h"

#define READY_TIMEOUT_S_DEFAULT 60
/* What the server may take to answer beyond what it was told to wait. */
#define ANSWER_SLACK_S 15

static int print_name(const char *name, struct err *err)
{
	printf("%s\n", name);
	return cli_flush(err);
}

/* ---- start ---- */

static int start_one(struct client *client, const char *name, void *user, struct err *err)
{
	const long long *timeout_s = user;
	_cleanup_free_ char *path = NULL;
	char timeout[32];
	int r;

	snprintf(timeout, sizeof(timeout), "%lld", *timeout_s);
	path = *timeout_s > 0
		       ? client_path("/v1/machines/%s/start?wait=ready&timeout=%s", name, timeout)
		       : client_path("/v1/machines/%s/start", name);
	r = client_do(client,
		      &(struct client_request){
			      .method = "POST",
			      .path = path,
			      .timeout_ms = (*timeout_s + ANSWER_SLACK_S) * 1000,
		      },
		      NULL, err);
	return r < 0 ? r : print_name(name, err);
}

int command_start(char **argv, struct err *err)
{
	long long timeout_s = READY_TIMEOUT_S_DEFAULT;
	const struct opt opts[] = {
		{'t', "timeout", OPT_TYPE_INT, &timeout_s, "S",
		 "how long to wait until it is ready; 0: do not wait (60)", 0, 3600},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl start [OPTION]... MACHINE...",
		.about = "Starts machines and waits until they run.",
		.opts = opts,
	};

	return cli_for_each(&parser, argv, start_one, &timeout_s, err);
}

/* ---- stop ---- */

static int stop_one(struct client *client, const char *name, void *user, struct err *err)
{
	const struct machines_stop *stop = user;
	int r;

	if (stop->signal != NULL && wire_signal_parse(stop->signal) < 0)
		return err_set(err, EINVAL, "there is no signal '%s'", stop->signal);
	r = machines_stop(client, name, stop, err);
	return r < 0 ? r : print_name(name, err);
}

int command_stop(char **argv, struct err *err)
{
	struct machines_stop stop = {.timeout_s = -1};
	const struct opt opts[] = {
		{'s', "signal", OPT_TYPE_STRING, &stop.signal, "SIGNAL",
		 "what the workload is sent (the machine's stop signal)"},
		{'t', "timeout", OPT_TYPE_INT, &stop.timeout_s, "S",
		 "seconds until it is killed (the machine's own)", 0, 3600},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl stop [OPTION]... MACHINE...",
		.about = "Stops machines and returns when they have stopped.",
		.opts = opts,
	};

	return cli_for_each(&parser, argv, stop_one, &stop, err);
}

/* ---- rm ---- */

static int remove_one(struct client *client, const char *name, void *user, struct err *err)
{
	const bool *force = user;
	int r;

	r = machines_remove(client, name, *force, err);
	return r < 0 ? r : print_name(name, err);
}

int command_rm(char **argv, struct err *err)
{
	bool force = false;
	const struct opt opts[] = {
		{'f', "force", OPT_TYPE_FLAG, &force, NULL, "kill what still runs"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl rm [OPTION]... MACHINE...",
		.about = "Deletes machines with their disks and logs.",
		.opts = opts,
	};

	return cli_for_each(&parser, argv, remove_one, &force, err);
}
