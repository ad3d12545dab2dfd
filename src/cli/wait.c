/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli.h"
#include "machines.h"

/* One call to the server; longer waits are several. */
#define CALL_S         60
#define ANSWER_SLACK_S 15

struct waiting {
	const char *state;
	long long timeout_s; /* 0: as long as it takes */
};

static int wait_once(struct client *client, const char *name, const char *state, long long seconds,
		     json_t **ret_machine, struct err *err)
{
	_cleanup_free_ char *timeout = mem_printf("%lld", seconds);
	_cleanup_free_ char *path =
		client_path("/v1/machines/%s/wait?state=%s&timeout=%s", name, state, timeout);

	if (strcmp(state, "stopped") == 0)
		return machines_await_end(client, name, seconds, ret_machine, err);
	return client_json(client,
			   &(struct client_request){
				   .method = "GET",
				   .path = path,
				   .timeout_ms = (seconds + ANSWER_SLACK_S) * 1000,
			   },
			   ret_machine, err);
}

/* Waits in calls of a length that a server and what stands between may count on. */
static int wait_for(struct client *client, const char *name, const struct waiting *wait,
		    json_t **ret_machine, struct err *err)
{
	int64_t deadline_ms = clock_monotonic_ms() + wait->timeout_s * 1000;
	int r;

	for (;;) {
		int left_s = CALL_S;

		if (wait->timeout_s > 0)
			left_s = MIN((clock_left_ms(deadline_ms) + 999) / 1000, CALL_S);
		r = wait_once(client, name, wait->state, MAX(left_s, 1), ret_machine, err);
		if (r != -ETIMEDOUT)
			return r;
		if (wait->timeout_s > 0 && clock_left_ms(deadline_ms) == 0)
			return r;
	}
}

static int wait_one(struct client *client, const char *name, void *user, struct err *err)
{
	const struct waiting *wait = user;
	_cleanup_json_ json_t *machine = NULL;
	int r;

	r = wait_for(client, name, wait, &machine, err);
	if (r < 0 && !(r == -ENOENT && strcmp(wait->state, "deleted") == 0))
		return r;
	if (strcmp(cli_text(machine, "state"), "failed") == 0)
		cli_say("machine %s failed: %s", cli_text(machine, "name"),
			cli_text(machine, "status_reason"));
	if (strcmp(wait->state, "stopped") == 0)
		printf("%d\n", machines_exit_code(machine));
	else
		printf("%s\n", name);
	return cli_flush(err);
}

int command_wait(char **argv, struct err *err)
{
	struct waiting wait = {.state = "stopped"};
	const struct opt opts[] = {
		{0, "state", OPT_TYPE_STRING, &wait.state, "STATE",
		 "ready, running, stopped, failed or deleted (stopped)"},
		{'t', "timeout", OPT_TYPE_INT, &wait.timeout_s, "S",
		 "seconds until giving up; 0: never (0)", 0, 31536000},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl wait [OPTION]... MACHINE...",
		.about = "Waits until machines have stopped and prints their exit codes.",
		.opts = opts,
	};

	return cli_for_each(&parser, argv, wait_one, &wait, err);
}
