/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <stddef.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "bounds.h"
#include "server.h"
#include "worker.h"

#define PROBE_KEEP_MS 5000

struct probe {
	struct server *server;
	struct worker *worker;
	struct probe_wait *waiting;
	char *answer; /* the last one */
	int64_t answered_at_ms;
	char *text; /* of the one that is coming */
};

void probe_init(struct server *server)
{
	server->probe = mem_new(struct probe);
	server->probe->server = server;
}

void probe_done(struct server *server)
{
	free(server->probe->answer);
	free(server->probe->text);
	free(server->probe);
	server->probe = NULL;
}

void probe_cancel(struct probe_wait *wait)
{
	if (wait->link == NULL)
		return;
	*wait->link = wait->next;
	if (wait->next != NULL)
		wait->next->link = wait->link;
	wait->link = NULL;
}

static void tell(struct probe *probe, const char *backends, const char *sentence)
{
	while (probe->waiting != NULL) {
		struct probe_wait *wait = probe->waiting;

		probe_cancel(wait);
		wait->done(wait, backends, sentence);
	}
}

static void on_line(void *user, const char *line, size_t length)
{
	struct probe *probe = user;
	char *more = mem_printf("%s%s", probe->text == NULL ? "" : probe->text, line);

	free(probe->text);
	probe->text = more;
	if (length > PROBE_BYTES_MAX)
		worker_kill(probe->worker);
}

static void on_end(void *user, const struct worker_end *end)
{
	struct probe *probe = user;
	_cleanup_free_ char *text = take_ptr(probe->text);
	_cleanup_json_ json_t *value = NULL;

	probe->worker = NULL;
	if (!end->ok) {
		tell(probe, NULL, end->sentence);
		return;
	}
	if (text == NULL || json_parse(text, strlen(text), &value, NULL) < 0 ||
	    !json_is_array(value)) {
		tell(probe, NULL, "krun-vmm --probe did not answer with a JSON array");
		return;
	}
	free(probe->answer);
	probe->answer = take_ptr(text);
	probe->answered_at_ms = clock_monotonic_ms();
	tell(probe, probe->answer, NULL);
}

static void add_option(char ***argv, const char *option, const char *value)
{
	if (value == NULL)
		return;
	strv_push(argv, option);
	strv_push(argv, value);
}

void probe_ask(struct server *server, struct probe_wait *wait)
{
	const struct settings *settings = server->settings;
	struct probe *probe = server->probe;
	_cleanup_strv_ char **argv = NULL;
	struct worker_job job = {.path = settings->vmm_path,
				 .stdin_fd = -1,
				 .timeout_ms = PROBE_TIMEOUT_MS,
				 .line_bytes_max = PROBE_BYTES_MAX,
				 .on_line = on_line,
				 .on_end = on_end};
	struct err err = {0};

	if (probe->answer != NULL && clock_monotonic_ms() - probe->answered_at_ms < PROBE_KEEP_MS) {
		wait->done(wait, probe->answer, NULL);
		return;
	}
	wait->next = probe->waiting;
	wait->link = &probe->waiting;
	if (wait->next != NULL)
		wait->next->link = &wait->next;
	probe->waiting = wait;
	if (probe->worker != NULL)
		return;
	strv_push(&argv, "krun-vmm");
	strv_push(&argv, "--probe");
	add_option(&argv, "--libkrun-path", settings->libkrun_path);
	add_option(&argv, "--libkrunfw-path", settings->libkrunfw_path);
	add_option(&argv, "--libkrunfw-path", settings->libkrunfw_path);
	add_option(&argv, "--qemu-path", settings->qemu_path);
	job.argv = argv;
	if (worker_start(server, &job, probe, &probe->worker, &err) < 0)
		tell(probe, NULL, err.text);
}
