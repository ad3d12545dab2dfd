/* SPDX-License-Identifier: Apache-2.0 */
/*
 * krun-vmm: the supervisor of a machine (default), its VM process (--enter, started by the
 * supervisor), what it would do (--dry-run), what can be done here (--probe).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "base/fd.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "enter.h"
#include "stdin.h"
#include "supervisor.h"

#define PRINT_BYTES_MAX (1 * MIB)

static struct {
	long long control_fd;
	const char *enter, *arch, *hypervisor;
	const char *libkrun_path, *libkrunfw_path, *qemu_path, *log_level;
	bool dry_run, probe;
} options = {.control_fd = -1, .log_level = "info"};

static const struct opt opts[] = {
	{0, "control-fd", OPT_TYPE_INT, &options.control_fd, "N",
	 "the listening control socket is descriptor N", .min = 3, .max = 1023},
	{0, "dry-run", OPT_TYPE_FLAG, &options.dry_run, NULL,
	 "print what would be done for the configuration, and end"},
	{0, "probe", OPT_TYPE_FLAG, &options.probe, NULL,
	 "print which backends can be used here, as JSON, and end"},
	{0, "libkrun-path", OPT_TYPE_STRING, &options.libkrun_path, "FILE",
	 "libkrun's library, for --probe"},
	{0, "libkrunfw-path", OPT_TYPE_STRING, &options.libkrunfw_path, "FILE",
	 "libkrunfw's library, for --probe"},
	{0, "qemu-path", OPT_TYPE_STRING, &options.qemu_path, "FILE", "QEMU, for --probe"},
	{0, "arch", OPT_TYPE_STRING, &options.arch, "NAME",
	 "plan for this processor (x86_64, aarch64) in place of this computer's, for --dry-run"},
	{0, "hypervisor", OPT_TYPE_STRING, &options.hypervisor, "NAME",
	 "plan for this hypervisor (kvm, hvf, none) in place of what is found, for --dry-run"},
	{0, "enter", OPT_TYPE_STRING, &options.enter, "BACKEND",
	 "become the VM process; only krun-vmm itself uses this"},
	{0, "log-level", OPT_TYPE_STRING, &options.log_level, "LEVEL",
	 "error, warn, info (default) or debug"},
	OPT_END,
};

static const struct opt_parser parser = {
	.usage = "krun-vmm [OPTION]...",
	.about = "Runs one machine. The configuration is read from standard input as JSON; "
		 "krun-api\n"
		 "starts this program, it is not meant to be used by hand.",
	.opts = opts,
};

static int fail(const struct err *err)
{
	log_error("%s", err->text);
	return 1;
}

static int supervise(void)
{
	struct vmm_config config;
	_cleanup_buf_ struct buf text;
	struct err err;
	int r;

	vmm_config_init(&config);
	r = stdin_read_config(&config, &text, &err);
	r = r < 0 ? fail(&err) : supervisor_run(&config, &text, (int)options.control_fd);
	vmm_config_done(&config);
	return r;
}

static int print_text(const struct buf *text)
{
	return fd_write_all(STDOUT_FILENO, text->data, text->length) < 0 ? 1 : 0;
}

static int plan_host(struct host *host, struct err *err)
{
	int r;

	r = host_detect(host, err);
	if (r >= 0 && options.arch != NULL && host_arch_parse(options.arch, &host->arch) < 0)
		return err_set(err, EINVAL, "--arch must be x86_64 or aarch64");
	if (r >= 0 && options.hypervisor != NULL &&
	    host_hypervisor_parse(options.hypervisor, &host->hypervisor) < 0)
		return err_set(err, EINVAL, "--hypervisor must be kvm, hvf or none");
	return r;
}

/* "auto": the first one that can be used. */
static const struct backend *plan_backend(const struct vmm_config *config, const struct host *host,
					  struct err *err)
{
	const struct backend *found = backend_find(config->backend);
	struct err note;

	if (strcmp(config->backend, "auto") != 0) {
		if (found == NULL)
			err_set(err, EINVAL, "there is no backend '%s'", config->backend);
		return found;
	}
	for (size_t i = 0; backends[i] != NULL; i++) {
		if (backends[i]->automatic && backends[i]->probe(config, host, &note, err) >= 0)
			return backends[i];
	}
	return NULL;
}

static int print_plan(const struct vmm_config *config, struct buf *out, struct err *err)
{
	const struct backend *backend;
	struct host host;
	struct plan plan = {0};
	int r;

	r = plan_host(&host, err);
	if (r < 0)
		return r;
	backend = plan_backend(config, &host, err);
	if (backend == NULL)
		return -err->errnum;
	r = plan_make(&plan, config, &host, err);
	if (r >= 0)
		r = backend->check(&plan, err);
	if (r >= 0)
		r = backend->print(&plan, out, err);
	plan_done(&plan);
	return r;
}

static int dry_run(void)
{
	_cleanup_buf_ struct buf text, out;
	struct vmm_config config;
	struct err err;
	int r;

	buf_init(&out, PRINT_BYTES_MAX);
	vmm_config_init(&config);
	r = stdin_read_config(&config, &text, &err);
	if (r >= 0)
		r = print_plan(&config, &out, &err);
	vmm_config_done(&config);
	return r < 0 ? fail(&err) : print_text(&out);
}

static void probe_backend(struct jsonw *w, const struct backend *backend,
			  const struct vmm_config *config, const struct host *host)
{
	struct err note = {0}, err = {0};
	bool usable = backend->probe(config, host, &note, &err) >= 0;
	const char *reason = usable ? note.text : err.text;

	jsonw_object_begin(w, NULL);
	jsonw_string(w, "name", backend->name);
	jsonw_bool(w, "usable", usable);
	jsonw_string(w, "reason", reason[0] != '\0' ? reason : NULL);
	jsonw_object_end(w);
}

static int probe(void)
{
	struct vmm_config config;
	_cleanup_buf_ struct buf out;
	struct host host;
	struct jsonw w;
	struct err err;

	buf_init(&out, PRINT_BYTES_MAX);
	if (host_detect(&host, &err) < 0)
		return fail(&err);
	vmm_config_init(&config);
	config.libkrun_path = mem_strdup_or_null(options.libkrun_path);
	config.libkrunfw_path = mem_strdup_or_null(options.libkrunfw_path);
	config.qemu_path = mem_strdup_or_null(options.qemu_path);
	jsonw_init(&w, &out);
	jsonw_array_begin(&w, NULL);
	for (size_t i = 0; backends[i] != NULL; i++) {
		if (backends[i]->automatic)
			probe_backend(&w, backends[i], &config, &host);
	}
	jsonw_array_end(&w);
	vmm_config_done(&config);
	if (jsonw_finish(&w) < 0 || buf_append_char(&out, '\n') < 0)
		return 1;
	return print_text(&out);
}

int main(int argc, char **argv)
{
	enum opt_outcome outcome;
	enum log_level level;
	struct err err;
	char **operands;
	int r;

	(void)argc;
	log_init("krun-vmm", LOG_LEVEL_INFO);
	r = opt_parse(&parser, argv, &operands, NULL, &outcome, &err);
	if (r >= 0 && operands[0] != NULL)
		r = err_set(&err, EINVAL, "'%s': there are no operands", operands[0]);
	if (r >= 0 && log_level_parse(options.log_level, &level) < 0)
		r = err_set(&err, EINVAL, "--log-level must be error, warn, info or debug");
	if (r < 0) {
		fprintf(stderr, "krun-vmm: %s\n", err.text);
		return 2;
	}
	if (outcome == OPT_OUTCOME_DONE)
		return 0;
	log_init("krun-vmm", level);
	if (options.enter != NULL)
		return enter_main(options.enter);
	if (options.dry_run)
		return dry_run();
	if (options.probe)
		return probe();
	if (options.control_fd < 0) {
		fprintf(stderr, "krun-vmm: --control-fd is missing\n");
		return 2;
	}
	return supervise();
}
