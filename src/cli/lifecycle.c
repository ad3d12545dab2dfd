/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start, stop, restart, kill, signal, rm. Each prints the name of what it did, as docker's do; to a
 * person who saw it done, a summary says that already.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "cli.h"
#include "machines.h"
#include "progress.h"
#include "wire/signal.h"

#define READY_TIMEOUT_S_DEFAULT 60
/* What the server may take to answer beyond what it was told to wait. */
#define ANSWER_SLACK_S 15
#define BODY_BYTES_MAX 256

/* What a command is told, and how it shows what it does. */
struct lifecycle {
	struct progress progress;
	long long ready_s;
	struct machines_stop stop;
	bool force;
};

static int for_each(const struct opt_parser *parser, char **argv, cli_each_fn *each,
		    struct lifecycle *lifecycle, struct err *err)
{
	int r;

	progress_init(&lifecycle->progress);
	r = cli_for_each(parser, argv, each, lifecycle, err);
	progress_free(&lifecycle->progress);
	return r;
}

static int print_name(const char *name, struct err *err)
{
	printf("%s\n", name);
	return cli_flush(err);
}

static int check_signal(const char *signal, struct err *err)
{
	if (signal != NULL && wire_signal_parse(signal) < 0)
		return err_set(err, EINVAL, "there is no signal '%s'", signal);
	return 0;
}

/* ---- start, restart ---- */

/* The name, or what a person saw done. */
static int finish(struct progress *progress, const char *done, const char *name, const char *ports,
		  struct err *err)
{
	bool is_seen = progress->is_live && isatty(STDOUT_FILENO);

	progress_done(progress, "%s %s%s%s", done, name, ports != NULL ? ", " : "",
		      ports != NULL ? ports : "");
	return is_seen ? 0 : print_name(name, err);
}

/* `verb` is in the path; the request lacks it and the wait for readiness. */
static int make_run(struct client *client, struct lifecycle *lifecycle, const char *name,
		    const char *verb, struct client_request *request, struct err *err)
{
	struct progress *progress = &lifecycle->progress;
	_cleanup_free_ char *seconds = mem_printf("%lld", lifecycle->ready_s);
	_cleanup_free_ char *path =
		lifecycle->ready_s > 0 ? client_path("/v1/machines/%s/%s?wait=ready&timeout=%s",
						     name, verb, seconds)
				       : client_path("/v1/machines/%s/%s", name, verb);
	_cleanup_free_ char *ports = NULL, *done = NULL;
	_cleanup_json_ json_t *machine = NULL;
	int r;

	request->method = "POST";
	request->path = path;
	request->timeout_ms += (lifecycle->ready_s + ANSWER_SLACK_S) * 1000;
	progress_begin_live(progress, "%sing %s", verb, name);
	r = progress_json(progress, client, request, &machine, err);
	if (r < 0) {
		progress_fail(progress);
		return r;
	}
	ports = machines_ports_text(machine);
	done = mem_printf("%sed", verb);
	return finish(progress, done, name, ports, err);
}

static int start_one(struct client *client, const char *name, void *user, struct err *err)
{
	struct client_request request = {0};

	return make_run(client, user, name, "start", &request, err);
}

int command_start(char **argv, struct err *err)
{
	struct lifecycle lifecycle = {.ready_s = READY_TIMEOUT_S_DEFAULT};
	const struct opt opts[] = {
		{'t', "timeout", OPT_TYPE_INT, &lifecycle.ready_s, "S",
		 "how long to wait until it is ready; 0: do not wait (60)", 0, 3600},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl start [OPTION]... MACHINE...",
		.about = "Starts machines and waits until they run.",
		.opts = opts,
	};

	return for_each(&parser, argv, start_one, &lifecycle, err);
}

static int restart_one(struct client *client, const char *name, void *user, struct err *err)
{
	struct lifecycle *lifecycle = user;
	_cleanup_free_ char *body = machines_stop_body(&lifecycle->stop);
	struct client_request request = {.body = body, .body_length = strlen(body)};
	int r;

	r = check_signal(lifecycle->stop.signal, err);
	if (r >= 0)
		r = machines_stop_timeout(client, name, &lifecycle->stop, &request.timeout_ms, err);
	return r < 0 ? r : make_run(client, lifecycle, name, "restart", &request, err);
}

int command_restart(char **argv, struct err *err)
{
	struct lifecycle lifecycle = {.ready_s = READY_TIMEOUT_S_DEFAULT, .stop.timeout_s = -1};
	const struct opt opts[] = {
		{'s', "signal", OPT_TYPE_STRING, &lifecycle.stop.signal, "SIGNAL",
		 "what the workload is sent (the machine's stop signal)"},
		{'t', "timeout", OPT_TYPE_INT, &lifecycle.stop.timeout_s, "S",
		 "seconds until it is killed (the machine's own)", 0, 3600},
		{0, "wait", OPT_TYPE_INT, &lifecycle.ready_s, "S",
		 "how long to wait until it is ready again; 0: do not wait (60)", 0, 3600},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl restart [OPTION]... MACHINE...",
		.about = "Stops machines and starts them again; those that do not run are started.",
		.opts = opts,
	};

	return for_each(&parser, argv, restart_one, &lifecycle, err);
}

/* ---- stop, kill, signal ---- */

static int stop_one(struct client *client, const char *name, void *user, struct err *err)
{
	struct lifecycle *lifecycle = user;
	int r;

	progress_begin_live(&lifecycle->progress, "stopping %s", name);
	r = check_signal(lifecycle->stop.signal, err);
	if (r >= 0)
		r = machines_stop(client, name, &lifecycle->stop, &lifecycle->progress, err);
	if (r < 0) {
		progress_fail(&lifecycle->progress);
		return r;
	}
	return finish(&lifecycle->progress, "stopped", name, NULL, err);
}

int command_stop(char **argv, struct err *err)
{
	struct lifecycle lifecycle = {.stop.timeout_s = -1};
	const struct opt opts[] = {
		{'s', "signal", OPT_TYPE_STRING, &lifecycle.stop.signal, "SIGNAL",
		 "what the workload is sent (the machine's stop signal)"},
		{'t', "timeout", OPT_TYPE_INT, &lifecycle.stop.timeout_s, "S",
		 "seconds until it is killed (the machine's own)", 0, 3600},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl stop [OPTION]... MACHINE...",
		.about = "Stops machines and returns when they have stopped.",
		.opts = opts,
	};

	return for_each(&parser, argv, stop_one, &lifecycle, err);
}

static int send_signal(struct client *client, const char *name, const char *signal, struct err *err)
{
	_cleanup_free_ char *path = client_path("/v1/machines/%s/signal", name);
	_cleanup_buf_ struct buf body = {0};
	struct jsonw w;

	buf_init(&body, BODY_BYTES_MAX);
	jsonw_init(&w, &body);
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "signal", signal);
	jsonw_object_end(&w);
	if (check_signal(signal, err) < 0 || jsonw_finish(&w) < 0)
		return -EINVAL;
	return client_do(client,
			 &(struct client_request){
				 .method = "POST",
				 .path = path,
				 .body = body.data,
				 .body_length = body.length,
			 },
			 NULL, err);
}

/*
 * Killed by us, a machine shall stay down whatever its restart policy says: that is a stop, while any
 * other signal is the workload's affair.
 */
static int kill_one(struct client *client, const char *name, void *user, struct err *err)
{
	struct lifecycle *lifecycle = user;
	int r;

	r = check_signal(lifecycle->stop.signal, err);
	if (r < 0)
		return r;
	if (wire_signal_parse(lifecycle->stop.signal) == WIRE_SIGKILL)
		r = machines_stop(client, name, &lifecycle->stop, &lifecycle->progress, err);
	else
		r = send_signal(client, name, lifecycle->stop.signal, err);
	return r < 0 ? r : print_name(name, err);
}

int command_kill(char **argv, struct err *err)
{
	struct lifecycle lifecycle = {.stop = {.signal = "SIGKILL", .timeout_s = 0}};
	const struct opt opts[] = {
		{'s', "signal", OPT_TYPE_STRING, &lifecycle.stop.signal, "SIGNAL",
		 "what the workload is sent (SIGKILL)"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl kill [OPTION]... MACHINE...",
		.about = "Stops machines at once, or sends their workloads another signal.",
		.opts = opts,
	};

	return for_each(&parser, argv, kill_one, &lifecycle, err);
}

int command_signal(char **argv, struct err *err)
{
	static const struct opt opts[] = {CLI_SERVER_OPTS, OPT_END};
	static const struct opt_parser parser = {
		.usage = "krunctl signal MACHINE SIGNAL",
		.about = "Sends a machine's workload a signal, by name or number.",
		.opts = opts,
	};
	_cleanup_client_ struct client *client = NULL;
	struct cli_arguments arguments;
	int r;

	r = cli_parse(&parser, argv, 2, &arguments, err);
	if (r <= 0)
		return r;
	if (arguments.count > 2)
		return err_set(err, EINVAL, "signal takes one machine and one signal");
	r = check_signal(arguments.operands[1], err);
	if (r >= 0)
		r = cli_connect(&client, err);
	return r < 0 ? r : send_signal(client, arguments.operands[0], arguments.operands[1], err);
}

/* ---- rm ---- */

static int remove_one(struct client *client, const char *name, void *user, struct err *err)
{
	const struct lifecycle *lifecycle = user;
	int r;

	r = machines_remove(client, name, lifecycle->force, err);
	return r < 0 ? r : print_name(name, err);
}

int command_rm(char **argv, struct err *err)
{
	struct lifecycle lifecycle = {0};
	const struct opt opts[] = {
		{'f', "force", OPT_TYPE_FLAG, &lifecycle.force, NULL, "kill what still runs"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl rm [OPTION]... MACHINE...",
		.about = "Deletes machines with their disks and logs.",
		.opts = opts,
	};

	return for_each(&parser, argv, remove_one, &lifecycle, err);
}
