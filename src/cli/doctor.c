/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/dirs.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/version.h"
#include "build.h"
#include "child.h"
#include "cli.h"
#include "info.h"
#include "table.h"

#define PROBE_TIMEOUT_MS 20000
#define PROBE_BYTES_MAX  65536
/* An image, a machine's disk and room to write in. */
#define DISK_BYTES_WANTED (2ULL * 1024 * 1024 * 1024)
#define MEMORY_MIB_WANTED 1024

static const char *const grade_names[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARN] = "warning",
	[DOCTOR_BAD] = "problem",
};

void doctor_add(struct doctor *doctor, enum doctor_grade grade, const char *check, const char *fmt,
		...)
{
	char text[2 * ERR_TEXT_BYTES_MAX];
	json_t *finding, *value;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	finding = json_object();
	json_object_set_new(finding, "check", json_string(check));
	json_object_set_new(finding, "grade", json_string(grade_names[grade]));
	value = json_string(text);
	/* Words of other programs may be no UTF-8. */
	json_object_set_new(finding, "text", value != NULL ? value : json_string("(no text)"));
	json_array_append_new(doctor->findings, finding);
	doctor->worst = MAX(doctor->worst, grade);
}

char *doctor_own_program(const char *name)
{
	_cleanup_free_ char *self = NULL;
	char *path = NULL;
	char *slash;

	if (proc_self_path(&self) == 0 && (slash = strrchr(self, '/')) != NULL) {
		static const char *const places[] = {"", "../libexec/krun-api/", "../vmm/"};

		*slash = '\0';
		for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
			_cleanup_free_ char *beside = mem_printf("%s/%s%s", self, places[i], name);

			if (path_find_program(beside, &path) == 0)
				return path;
		}
	}
	return path_find_program(name, &path) == 0 ? path : NULL;
}

/* ---- server and backends ---- */

static void add_backends(struct doctor *doctor, json_t *backends)
{
	bool any = false;
	json_t *backend;
	size_t i;

	json_array_foreach(backends, i, backend)
		any = any || json_is_true(json_object_get(backend, "usable"));
	json_array_foreach(backends, i, backend) {
		const char *name = cli_text(backend, "name"), *reason = cli_text(backend, "reason");
		_cleanup_free_ char *check = mem_printf("backend %s", name);

		if (json_is_true(json_object_get(backend, "usable")))
			doctor_add(doctor, DOCTOR_OK, check, "%s",
				   *reason != '\0' ? reason : "usable");
		else
			doctor_add(doctor, any ? DOCTOR_WARN : DOCTOR_BAD, check, "%s", reason);
	}
	if (!any)
		doctor_add(doctor, DOCTOR_BAD, "backends",
			   "no machine can run here: see what each backend lacks");
}

/* Without a server, krun-vmm is asked what the server would ask it. */
static void probe_backends(struct doctor *doctor)
{
	_cleanup_free_ char *path = doctor_own_program("krun-vmm");
	_cleanup_json_ json_t *backends = NULL;
	_cleanup_buf_ struct buf output = {0};
	struct err err = {0};
	int status;

	if (path == NULL) {
		doctor_add(doctor, DOCTOR_BAD, "krun-vmm",
			   "not found beside krunctl or in $PATH: install the whole package");
		return;
	}
	buf_init(&output, PROBE_BYTES_MAX);
	if (child_ask((char *const[]){path, (char *)"--probe", NULL}, PROBE_TIMEOUT_MS, &output,
		      &status, &err) < 0) {
		doctor_add(doctor, DOCTOR_BAD, "krun-vmm", "%s", err.text);
		return;
	}
	if (status != 0 || output.length == 0 ||
	    json_parse(output.data, output.length, &backends, &err) < 0) {
		doctor_add(doctor, DOCTOR_BAD, "krun-vmm", "'%s --probe' failed: %.300s", path,
			   output.data != NULL ? output.data : "it says nothing");
		return;
	}
	add_backends(doctor, backends);
}

static void check_version(struct doctor *doctor, const char *name, const char *version)
{
	if (strcmp(version, VERSION) == 0)
		doctor_add(doctor, DOCTOR_OK, "server", "krun-api %s answers at %s", version, name);
	else
		doctor_add(
			doctor, DOCTOR_WARN, "server",
			"krun-api at %s has version %s, krunctl has %s: install the same of both",
			name, version, VERSION);
}

static void check_server(struct doctor *doctor)
{
	_cleanup_client_ struct client *client = NULL;
	_cleanup_json_ json_t *info = NULL;
	struct err err = {0};

	if (cli_connect(&client, &err) < 0 || info_get(client, &info, &err) < 0) {
		doctor_add(doctor, DOCTOR_WARN, "server", "%s", err.text);
		probe_backends(doctor);
		return;
	}
	check_version(doctor, client_name(client), cli_text(info, "version"));
	add_backends(doctor, json_object_get(info, "backends"));
}

/* ---- this host ---- */

static void check_builder(struct doctor *doctor)
{
	const char *builder;
	struct err err = {0};

	if (build_find(NULL, &builder, &err) < 0)
		doctor_add(doctor, DOCTOR_WARN, "builder", "%s", err.text);
	else
		doctor_add(doctor, DOCTOR_OK, "builder", "%s", builder);
}

/* The nearest directory above that exists is on the file system that will be used. */
static void check_disk(struct doctor *doctor)
{
	_cleanup_free_ char *path = dirs_state();
	_cleanup_free_ char *size = NULL;
	uint64_t bytes;
	char *slash;
	int r;

	while ((r = file_free_bytes(path, &bytes)) == -ENOENT &&
	       (slash = strrchr(path, '/')) != NULL && slash != path)
		*slash = '\0';
	if (r < 0) {
		doctor_add(doctor, DOCTOR_WARN, "disk", "the room in %s cannot be told: %s", path,
			   strerror(-r));
		return;
	}
	size = table_size(bytes);
	if (bytes < DISK_BYTES_WANTED)
		doctor_add(doctor, DOCTOR_WARN, "disk",
			   "%s free in %s: images and disks need more; make room, or give krun-api "
			   "another --state-dir",
			   size, path);
	else
		doctor_add(doctor, DOCTOR_OK, "disk", "%s free in %s", size, path);
}

static void check_memory(struct doctor *doctor)
{
	uint64_t mib = proc_host_memory_mib();
	unsigned cpus = proc_host_cpus();

	doctor_add(doctor, mib < MEMORY_MIB_WANTED ? DOCTOR_WARN : DOCTOR_OK, "host",
		   "%u processors, %llu MiB of memory%s", cpus, (unsigned long long)mib,
		   mib < MEMORY_MIB_WANTED ? ": that is room for few machines" : "");
}

static int print_findings(const struct doctor *doctor, struct err *err)
{
	json_t *finding;
	size_t i;

	json_array_foreach(doctor->findings, i, finding) {
		_cleanup_free_ char *text = table_clean(cli_text(finding, "text"));

		printf("%-9s%-18s%s\n", cli_text(finding, "grade"), cli_text(finding, "check"),
		       text);
	}
	return cli_flush(err);
}

static int examine(bool json, struct err *err)
{
	struct doctor doctor = {.findings = json_array()};
	int r;

	check_server(&doctor);
	doctor_check_hypervisor(&doctor);
	check_builder(&doctor);
	check_disk(&doctor);
	check_memory(&doctor);
	doctor_check_ports(&doctor);
	r = json ? cli_print_json(doctor.findings, err) : print_findings(&doctor, err);
	json_decref(doctor.findings);
	if (r < 0)
		return r;
	return doctor.worst == DOCTOR_BAD ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

int command_doctor(char **argv, struct err *err)
{
	bool json = false;
	const struct opt opts[] = {
		{0, "json", OPT_TYPE_FLAG, &json, NULL, "as JSON"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl doctor [OPTION]...",
		.about = "Checks what machines need on this host and says what to do. Ends with 1 "
			 "when\n"
			 "something is in the way.",
		.opts = opts,
	};
	int r;

	r = cli_parse_alone(&parser, argv, err);
	return r <= 0 ? r : examine(json, err);
}
