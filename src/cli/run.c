/* SPDX-License-Identifier: Apache-2.0 */
/* krun-run: from a directory, an archive or an image's name to a running machine. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/strv.h"
#include "build.h"
#include "cli.h"
#include "images.h"
#include "machine/config.h"
#include "machines.h"
#include "progress.h"
#include "spec.h"
#include "vminit.h"
#include "wire/limits.h"

#define READY_TIMEOUT_S_DEFAULT 60
#define ANSWER_SLACK_S          15
#define CREATE_TIMEOUT_MS       60000
#define TTL_S_MAX               (10LL * 365 * 86400)

struct run {
	const char *name, *dockerfile, *builder, *vminit;
	const char *user, *workdir, *hostname, *exec_path, *network, *stop_signal, *restart;
	long long cpus, memory_mib, disk_mib, stop_timeout_s, timeout_s, ttl_s;
	char **ports, **volumes, **env, **env_files, **allow, **dns, **labels;
	bool no_start, attach, remove, rootfs, tty, verbose;
	struct progress *progress;
};

static void run_done(struct run *run)
{
	strv_free(run->ports);
	strv_free(run->volumes);
	strv_free(run->env);
	strv_free(run->env_files);
	strv_free(run->allow);
	strv_free(run->dns);
	strv_free(run->labels);
}

/* ---- the image ---- */

static int import_archive(struct client *client, const struct run *run, const char *path,
			  char **ret_image, struct err *err)
{
	struct images_upload upload = {.title = path, .progress = run->progress};
	_cleanup_json_ json_t *image = NULL;
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *name;
	int r;

	if (fd < 0)
		return err_set_errno(err, errno, "'%s'", path);
	upload.fd = fd;
	r = images_upload(client, &upload, &image, err);
	if (r < 0)
		return r;
	name = json_string_value(json_array_get(json_object_get(image, "names"), 0));
	*ret_image = mem_strdup(name != NULL ? name : cli_text(image, "digest"));
	return 0;
}

static int build_and_import(struct client *client, const struct run *run, const char *path,
			    char **ret_image, struct err *err)
{
	_cleanup_free_ char *name = spec_image_name(path);
	_cleanup_json_ json_t *image = NULL;
	struct build build = {
		.builder = run->builder,
		.path = path,
		.dockerfile = run->dockerfile,
		.image_name = name,
		.progress = run->progress,
		.verbose = run->verbose,
	};
	struct build_output output = {.fd = -1};
	struct images_upload upload = {
		.name = name,
		.title = name,
		.progress = run->progress,
		.finish = build_finish,
		.user = &output,
	};
	int r;

	r = build_begin(&build, &output, err);
	if (r < 0)
		return r;
	upload.fd = output.fd;
	r = images_upload(client, &upload, &image, err);
	build_done(&output);
	if (r >= 0)
		*ret_image = take_ptr(name);
	return r;
}

/* The server is asked first, so that nobody waits for a build that has nowhere to go. */
static int check_server(struct client *client, struct err *err)
{
	struct client_request request = {.method = "GET", .path = "/v1/machines?limit=1"};

	return client_do(client, &request, NULL, err);
}

static int find_root(struct client *client, const struct run *run, const char *operand,
		     struct machine_config *config, struct err *err)
{
	enum spec_root root;
	int r;

	if (run->rootfs) {
		r = path_resolve(operand, &config->rootfs_path);
		return r < 0 ? err_set_errno(err, -r, "--rootfs '%s'", operand) : 0;
	}
	r = spec_classify(operand, &root, err);
	if (r < 0)
		return r;
	if (root != SPEC_ROOT_BUILD && (run->dockerfile != NULL || run->builder != NULL))
		return err_set(err, EINVAL, "'%s' is not a directory: -f and --builder have no use",
			       operand);
	if (root == SPEC_ROOT_IMAGE) {
		config->image = mem_strdup(operand);
		return 0;
	}
	r = check_server(client, err);
	if (r < 0)
		return r;
	if (root == SPEC_ROOT_ARCHIVE)
		return import_archive(client, run, operand, &config->image, err);
	return build_and_import(client, run, operand, &config->image, err);
}

/* ---- the machine ---- */

/* Reads each of a list of options by its own reader. */
static int read_each(char *const *texts, int (*read)(const char *, void *, struct err *),
		     void *target, struct err *err)
{
	int r;

	for (; texts != NULL && *texts != NULL; texts++) {
		r = read(*texts, target, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_port(const char *text, void *target, struct err *err)
{
	return spec_parse_port(text, target, err);
}

static int read_volume(const char *text, void *target, struct err *err)
{
	return spec_parse_volume(text, target, err);
}

static int read_env(const char *text, void *target, struct err *err)
{
	return spec_parse_env(text, target, err);
}

static int read_env_file(const char *path, void *target, struct err *err)
{
	return spec_read_env_file(path, target, err);
}

static int read_label(const char *text, void *target, struct err *err)
{
	return spec_parse_label(text, target, err);
}

static int fill_network(struct machine_network *network, const struct run *run, struct err *err)
{
	if (run->network != NULL && strcmp(run->network, "none") == 0)
		network->mode = MACHINE_NETWORK_NONE;
	else if (run->network != NULL && strcmp(run->network, "user") != 0)
		return err_set(err, EINVAL, "--network is 'user' or 'none', not '%s'",
			       run->network);
	/* An empty list would mean: nothing is allowed. */
	if (run->allow != NULL)
		network->allow_list = strv_copy(run->allow);
	network->dns = strv_copy(run->dns);
	return 0;
}

static int fill_request(struct machine_request *request, const struct run *run, char **args,
			struct err *err)
{
	struct machine_config *config = &request->config;
	int r;

	request->name = mem_strdup_or_null(run->name);
	config->vcpus = run->cpus;
	config->memory_mib = run->memory_mib;
	config->disk_mib = run->disk_mib;
	config->exec_path = mem_strdup_or_null(run->exec_path);
	config->args = *args != NULL ? strv_copy(args) : NULL;
	config->workdir = mem_strdup_or_null(run->workdir);
	config->user = mem_strdup_or_null(run->user);
	config->hostname = mem_strdup_or_null(run->hostname);
	config->tty = run->tty;
	config->stop.signal = mem_strdup_or_null(run->stop_signal);
	config->stop.timeout_s = run->stop_timeout_s;
	config->ttl_s = run->ttl_s;
	/* The server deletes it, so that it goes even if we do not live to see its end. */
	config->auto_remove = run->remove;
	r = read_each(run->ports, read_port, &config->ports, err);
	if (r >= 0)
		r = read_each(run->volumes, read_volume, &config->volumes, err);
	if (r >= 0)
		r = read_each(run->env, read_env, &config->env, err);
	if (r >= 0)
		r = read_each(run->env_files, read_env_file, &config->env, err);
	if (r >= 0)
		r = read_each(run->labels, read_label, &request->labels, err);
	if (r >= 0 && run->restart != NULL)
		r = spec_parse_restart(run->restart, &config->restart, err);
	return r < 0 ? r : fill_network(&request->network, run, err);
}

static int create(struct client *client, const struct machine_request *request,
		  json_t **ret_machine, struct err *err)
{
	_cleanup_buf_ struct buf body = {0};
	struct jsonw w;
	int r;

	buf_init(&body, LIMIT_CONFIG_BYTES);
	jsonw_init(&w, &body);
	jsonw_object_begin(&w, NULL);
	if (request->name != NULL)
		jsonw_string(&w, "name", request->name);
	machine_config_write(&w, &request->config);
	machine_network_write(&w, &request->network);
	jsonw_map(&w, "labels", request->labels);
	jsonw_object_end(&w);
	r = jsonw_finish(&w);
	if (r < 0)
		return err_set(err, E2BIG, "what this machine is told is longer than 1 MiB");
	return client_json(client,
			   &(struct client_request){
				   .method = "POST",
				   .path = "/v1/machines",
				   .body = body.data,
				   .body_length = body.length,
				   .timeout_ms = CREATE_TIMEOUT_MS,
			   },
			   ret_machine, err);
}

static int start(struct client *client, const struct run *run, const char *id, json_t **ret_machine,
		 struct err *err)
{
	long long wait_s = run->attach ? 0 : run->timeout_s;
	_cleanup_free_ char *seconds = mem_printf("%lld", wait_s);
	_cleanup_free_ char *path =
		wait_s > 0 ? client_path("/v1/machines/%s/start?wait=ready&timeout=%s", id, seconds)
			   : client_path("/v1/machines/%s/start", id);

	return progress_json(run->progress, client,
			     &(struct client_request){
				     .method = "POST",
				     .path = path,
				     .timeout_ms = (wait_s + ANSWER_SLACK_S) * 1000,
			     },
			     ret_machine, err);
}

static void print_created(json_t *machine, FILE *out)
{
	fprintf(out, "Created machine: id=%s name=%s state=%s\n", cli_text(machine, "id"),
		cli_text(machine, "name"), cli_text(machine, "state"));
	fflush(out);
}

static void show_started(const struct run *run, json_t *machine)
{
	_cleanup_free_ char *ports = machines_ports_text(machine);

	progress_done(run->progress, "started %s%s%s", cli_text(machine, "name"),
		      ports != NULL ? ", " : "", ports != NULL ? ports : "");
}

/* Starts what was created and stays with it to its end, or until it is ready. */
static int start_and_stay(struct client *client, const struct run *run, struct attach *attach,
			  json_t *created, struct err *err)
{
	const char *id = cli_text(created, "id");
	_cleanup_json_ json_t *machine = NULL;
	int r;

	progress_begin_live(run->progress, "starting %s", cli_text(created, "name"));
	r = start(client, run, id, &machine, err);
	if (r < 0) {
		progress_fail(run->progress);
		return run->remove ? r
				   : err_prefix(err, "machine %s was created and did not start",
						cli_text(created, "name"));
	}
	if (attach == NULL) {
		show_started(run, machine);
		print_created(machine, stdout);
		return cli_flush(err);
	}
	/* Attached, standard output is the workload's alone. */
	progress_drop(run->progress);
	print_created(machine, stderr);
	progress_begin_live(run->progress, "booting %s", cli_text(machine, "name"));
	return attach_run(attach, id, err);
}

static int run_machine(struct client *client, const struct run *run,
		       const struct machine_request *request, struct err *err)
{
	_cleanup_(cleanup_attach) struct attach *attach = NULL;
	_cleanup_json_ json_t *machine = NULL;
	struct err ignored = {0};
	int r;

	if (run->attach) {
		r = attach_new(client, run->progress, &attach, err);
		if (r < 0)
			return r;
	}
	r = create(client, request, &machine, err);
	if (r < 0)
		return r;
	if (run->no_start) {
		print_created(machine, stdout);
		return cli_flush(err);
	}
	r = start_and_stay(client, run, attach, machine, err);
	if (run->remove && (run->attach || r < 0)) {
		int removed = machines_remove(client, cli_text(machine, "id"), true, &ignored);

		if (removed < 0 && removed != -ENOENT)
			cli_say("deleting the machine: %s", ignored.text);
	}
	return r;
}

/* ---- the command ---- */

static int check(const struct run *run, struct err *err)
{
	if (run->attach && run->no_start)
		return err_set(err, EINVAL, "there is nothing to attach to with --no-start");
	if (run->vminit == NULL)
		return 0;
	return vminit_check(run->vminit, err);
}

static int run_operands(const struct run *run, const struct cli_arguments *arguments,
			struct err *err)
{
	_cleanup_client_ struct client *client = NULL;
	struct machine_request request;
	int r;

	r = check(run, err);
	if (r < 0)
		return r;
	machine_request_init(&request);
	r = fill_request(&request, run, arguments->operands + 1, err);
	if (r >= 0)
		r = cli_connect(&client, err);
	if (r >= 0)
		r = find_root(client, run, arguments->operands[0], &request.config, err);
	if (r >= 0 && run->vminit != NULL)
		cli_say("%s is a vminit; the machine boots the one installed with its server",
			run->vminit);
	if (r >= 0)
		r = run_machine(client, run, &request, err);
	machine_request_done(&request);
	return r;
}

static struct progress progress;

static struct run options = {
	.progress = &progress,
	.cpus = 1,
	.memory_mib = 256,
	.disk_mib = 4096,
	.stop_timeout_s = 10,
	.timeout_s = READY_TIMEOUT_S_DEFAULT,
};

static const struct opt opts[] = {
	{'n', "name", OPT_TYPE_STRING, &options.name, "NAME", "name of the machine"},
	{'f', "file", OPT_TYPE_STRING, &options.dockerfile, "FILE",
	 "Dockerfile (PATH/Dockerfile, PATH/Containerfile)"},
	{0, "builder", OPT_TYPE_STRING, &options.builder, "BUILDER",
	 "docker, podman or buildah (the first that works)"},
	{0, "verbose", OPT_TYPE_FLAG, &options.verbose, NULL,
	 "show the builder's output as it comes"},
	{0, "cpus", OPT_TYPE_INT, &options.cpus, "N", "virtual processors (1)", 1, LIMIT_VCPUS_MAX},
	{'m', "memory", OPT_TYPE_INT, &options.memory_mib, "MIB", "memory (256)",
	 LIMIT_MEMORY_MIB_MIN, LIMIT_MEMORY_MIB_MAX},
	{0, "disk", OPT_TYPE_INT, &options.disk_mib, "MIB",
	 "room for what the machine writes (4096)", LIMIT_DISK_MIB_MIN, LIMIT_DISK_MIB_MAX},
	{'p', "publish", OPT_TYPE_STRV, &options.ports, "[[IP:]HOST:]GUEST[/udp]",
	 "publish a port of the machine on this host"},
	{'v', "volume", OPT_TYPE_STRV, &options.volumes, "SOURCE:GUEST[:ro]",
	 "share a directory or file (a SOURCE with a slash), attach a named volume (without)"},
	{'e', "env", OPT_TYPE_STRV, &options.env, "K[=V]", "set a variable"},
	{0, "env-file", OPT_TYPE_STRV, &options.env_files, "FILE", "set those that FILE lists"},
	{0, "allow", OPT_TYPE_STRV, &options.allow, "RULE",
	 "the machine may connect here and nowhere else: CIDR or name, [:PORT]"},
	{0, "dns", OPT_TYPE_STRV, &options.dns, "ADDRESS", "resolver to ask (the host's)"},
	{0, "network", OPT_TYPE_STRING, &options.network, "MODE", "user or none (user)"},
	{'u', "user", OPT_TYPE_STRING, &options.user, "USER[:GROUP]", "who the workload is"},
	{'w', "workdir", OPT_TYPE_STRING, &options.workdir, "DIR", "where it starts"},
	{0, "hostname", OPT_TYPE_STRING, &options.hostname, "NAME", "its host name"},
	{0, "entrypoint", OPT_TYPE_STRING, &options.exec_path, "PROGRAM",
	 "what is run instead of the image's entrypoint"},
	{'t', "tty", OPT_TYPE_FLAG, &options.tty, NULL, "give the workload a terminal"},
	{'l', "label", OPT_TYPE_STRV, &options.labels, "K=V", "label of the machine"},
	{0, "stop-signal", OPT_TYPE_STRING, &options.stop_signal, "SIGNAL",
	 "what a stop sends (the image's, else SIGTERM)"},
	{0, "stop-timeout", OPT_TYPE_INT, &options.stop_timeout_s, "S",
	 "seconds from there until it is killed (10)", 0, 86400},
	{0, "restart", OPT_TYPE_STRING, &options.restart, "POLICY[:N]",
	 "what becomes of it when it ends: no, always, on-failure[:N] (no)"},
	{0, "ttl", OPT_TYPE_INT, &options.ttl_s, "S",
	 "seconds until it is stopped, whatever it does (never)", 1, TTL_S_MAX},
	{0, "init", OPT_TYPE_STRING, &options.vminit, "VMINIT",
	 "check this vminit; servers boot their own"},
	{0, "rootfs", OPT_TYPE_FLAG, &options.rootfs, NULL,
	 "PATH is a root directory on the server's host, used as it is"},
	{0, "timeout", OPT_TYPE_INT, &options.timeout_s, "S",
	 "how long to wait until it is ready; 0: do not wait (60)", 0, 3600},
	{0, "no-start", OPT_TYPE_FLAG, &options.no_start, NULL, "only create the machine"},
	{'a', "attach", OPT_TYPE_FLAG, &options.attach, NULL,
	 "stay: its output, its exit code, interrupts stop it"},
	{0, "rm", OPT_TYPE_FLAG, &options.remove, NULL, "delete it when it has ended"},
	CLI_SERVER_OPTS,
	OPT_END,
};

static const struct opt_parser parser = {
	.usage = "krun-run [OPTION]... PATH|IMAGE [-- ARG...]",
	.about = "Runs a Dockerfile's directory, an image's archive or an image as a microVM.",
	.opts = opts,
};

static int parse_and_run(char **argv, struct err *err)
{
	struct cli_arguments arguments;
	int r;

	r = cli_parse(&parser, argv, 1, &arguments, err);
	if (r <= 0)
		return r;
	if (arguments.dashes_at == 0)
		return err_set(err, EINVAL, "PATH or IMAGE stands before '--'");
	if (arguments.dashes_at > 1)
		return err_set(err, EINVAL, "'%s': the workload's arguments stand behind '--'",
			       arguments.operands[1]);
	return run_operands(&options, &arguments, err);
}

int command_run(char **argv, struct err *err)
{
	int r;

	progress_init(&progress);
	r = parse_and_run(argv, err);
	progress_free(&progress);
	run_done(&options);
	return r;
}
