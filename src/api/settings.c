/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dirs.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/strv.h"

#define CONFIG_BYTES_MAX (64 * 1024)

/* As given, before defaults. */
struct given {
	char **listen;
	char *state_dir, *socket_dir, *token_file, *backend, *log_level;
	char *vmm_path, *net_path, *image_path, *vminit_path, *boot_disk_path;
	char *libkrun_path, *libkrunfw_path, *qemu_path;
};

#define STRING_FIELD(member)                                                                       \
	{                                                                                          \
		.name = #member, .type = JSON_WANT_STRING,                                         \
		.offset = offsetof(struct given, member)                                           \
	}

static const struct json_field file_fields[] = {
	{.name = "listen", .type = JSON_WANT_STRINGS, .offset = offsetof(struct given, listen)},
	STRING_FIELD(state_dir),
	STRING_FIELD(socket_dir),
	STRING_FIELD(token_file),
	STRING_FIELD(backend),
	STRING_FIELD(log_level),
	STRING_FIELD(vmm_path),
	STRING_FIELD(net_path),
	STRING_FIELD(image_path),
	STRING_FIELD(vminit_path),
	STRING_FIELD(boot_disk_path),
	STRING_FIELD(libkrun_path),
	STRING_FIELD(libkrunfw_path),
	STRING_FIELD(qemu_path),
	JSON_FIELD_END,
};

/* The strings of the command line point into argv, those of the file are ours. */
struct command_line {
	char **listen;
	const char *state_dir, *socket_dir, *token_file, *backend, *log_level, *config;
	const char *vmm_path, *net_path, *image_path, *vminit_path, *boot_disk_path;
	const char *libkrun_path, *libkrunfw_path, *qemu_path;
};

static void given_done(struct given *given)
{
	strv_free(given->listen);
	for (const struct json_field *field = file_fields; field->name != NULL; field++) {
		if (field->type == JSON_WANT_STRING)
			free(*(char **)((char *)given + field->offset));
	}
}

static int read_file(struct given *given, const char *path, struct err *err)
{
	_cleanup_buf_ struct buf text;
	_cleanup_json_ json_t *value = NULL;
	int r;

	buf_init(&text, CONFIG_BYTES_MAX);
	r = file_read(path, &text);
	if (r < 0)
		return err_set_errno(err, -r, "cannot read --config '%s'", path);
	r = json_parse(text.data == NULL ? "" : text.data, text.length, &value, err);
	if (r >= 0)
		r = json_read(value, "", file_fields, given, err);
	return r < 0 ? err_prefix(err, "--config '%s'", path) : 0;
}

/* The command line wins over the file. */
static void merge(struct given *given, struct command_line *line)
{
	const struct {
		char **to;
		const char *from;
	} strings[] = {
		{&given->state_dir, line->state_dir},
		{&given->socket_dir, line->socket_dir},
		{&given->token_file, line->token_file},
		{&given->backend, line->backend},
		{&given->log_level, line->log_level},
		{&given->vmm_path, line->vmm_path},
		{&given->net_path, line->net_path},
		{&given->image_path, line->image_path},
		{&given->vminit_path, line->vminit_path},
		{&given->boot_disk_path, line->boot_disk_path},
		{&given->libkrun_path, line->libkrun_path},
		{&given->libkrunfw_path, line->libkrunfw_path},
		{&given->qemu_path, line->qemu_path},
	};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		if (strings[i].from != NULL)
			mem_replace(strings[i].to, strings[i].from);
	}
	if (strv_length(line->listen) > 0) {
		strv_free(given->listen);
		given->listen = take_ptr(line->listen);
	}
}

/* ---- defaults ---- */

static char *make_absolute(const char *path)
{
	char cwd[PATH_MAX];

	if (path[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
		return mem_strdup(path);
	return path_join(cwd, path);
}

/*
 * A file of the installation: as given, else `name` beside this program (the build tree's layout
 * `../folder/name` too), else in libexec. When it is nowhere, the name in libexec, so that whoever
 * needs it says where it should be.
 */
static char *find_file(const char *given, const char *directory, const char *folder,
		       const char *name)
{
	_cleanup_free_ char *beside = mem_printf("%s/%s", directory, name);
	_cleanup_free_ char *tree = mem_printf("%s/../%s/%s", directory, folder, name);
	_cleanup_free_ char *libexec = mem_printf("%s/../libexec/krun-api/%s", directory, name);
	char *const candidates[] = {beside, tree, libexec};
	char *resolved;

	if (given != NULL)
		return make_absolute(given);
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
		struct stat st;

		if (stat(candidates[i], &st) == 0 && S_ISREG(st.st_mode) &&
		    path_resolve(candidates[i], &resolved) >= 0)
			return resolved;
	}
	return take_ptr(libexec);
}

static int find_files(struct settings *settings, const struct given *given, struct err *err)
{
	_cleanup_free_ char *self = NULL;
	int r = proc_self_path(&self);

	if (r < 0)
		return err_set_errno(err, -r, "cannot tell where this program lies");
	*strrchr(self, '/') = '\0';
	settings->vmm_path = find_file(given->vmm_path, self, "vmm", "krun-vmm");
	settings->net_path = find_file(given->net_path, self, "net", "krun-net");
	settings->image_path = find_file(given->image_path, self, "image", "krun-image");
	settings->vminit_path = find_file(given->vminit_path, self, "guest", "vminit");
	settings->boot_disk_path =
		find_file(given->boot_disk_path, self, "image", "vminit-boot.ext4");
	return 0;
}

static int fill_in(struct settings *settings, const struct given *given, struct err *err)
{
	static const char *const backends[] = {"auto", "libkrun", "qemu", "fake"};
	bool known = false;

	settings->backend = mem_strdup(given->backend == NULL ? "auto" : given->backend);
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		known = known || strcmp(backends[i], settings->backend) == 0;
	if (!known)
		return err_set(err, EINVAL, "--backend '%.40s': say auto, libkrun or qemu",
			       settings->backend);
	settings->log_level = LOG_LEVEL_INFO;
	if (given->log_level != NULL && log_level_parse(given->log_level, &settings->log_level) < 0)
		return err_set(err, EINVAL, "--log-level '%.40s': say error, warn, info or debug",
			       given->log_level);
	settings->state_dir =
		given->state_dir != NULL ? make_absolute(given->state_dir) : dirs_state();
	settings->socket_dir =
		given->socket_dir != NULL ? make_absolute(given->socket_dir) : dirs_socket();
	settings->token_file = given->token_file == NULL ? NULL : make_absolute(given->token_file);
	settings->libkrun_path = mem_strdup_or_null(given->libkrun_path);
	settings->libkrunfw_path = mem_strdup_or_null(given->libkrunfw_path);
	settings->qemu_path = mem_strdup_or_null(given->qemu_path);
	settings->listen = strv_copy(given->listen);
	if (strv_length(settings->listen) == 0)
		strv_push_take(&settings->listen,
			       mem_printf("unix://%s/api.sock", settings->socket_dir));
	return find_files(settings, given, err);
}

int settings_read(struct settings *settings, char **argv, enum opt_outcome *ret_outcome,
		  struct err *err)
{
	struct command_line line = {0};
	_cleanup_(given_done) struct given given = {0};
	/* clang-format off */
	const struct opt opts[] = {
		{0, "listen", OPT_TYPE_STRV, &line.listen, "ADDRESS",
		 "unix:///path, :8080 (loopback) or an address with a port; may be repeated"},
		{0, "state-dir", OPT_TYPE_STRING, &line.state_dir, "DIR", "where everything is kept"},
		{0, "socket-dir", OPT_TYPE_STRING, &line.socket_dir, "DIR", "where sockets lie"},
		{0, "token-file", OPT_TYPE_STRING, &line.token_file, "FILE",
		 "token that clients over TCP show; needed for other than loopback addresses"},
		{0, "backend", OPT_TYPE_STRING, &line.backend, "NAME", "auto, libkrun or qemu"},
		{0, "log-level", OPT_TYPE_STRING, &line.log_level, "LEVEL",
		 "error, warn, info or debug"},
		{0, "config", OPT_TYPE_STRING, &line.config, "FILE",
		 "JSON object with these options as members"},
		{0, "vmm-path", OPT_TYPE_STRING, &line.vmm_path, "FILE", "krun-vmm"},
		{0, "net-path", OPT_TYPE_STRING, &line.net_path, "FILE", "krun-net"},
		{0, "image-path", OPT_TYPE_STRING, &line.image_path, "FILE", "krun-image"},
		{0, "vminit-path", OPT_TYPE_STRING, &line.vminit_path, "FILE", "vminit"},
		{0, "boot-disk-path", OPT_TYPE_STRING, &line.boot_disk_path, "FILE",
		 "disk with vminit that qemu boots from"},
		{0, "libkrun-path", OPT_TYPE_STRING, &line.libkrun_path, "FILE", "libkrun"},
		{0, "libkrunfw-path", OPT_TYPE_STRING, &line.libkrunfw_path, "FILE", "libkrunfw"},
		{0, "qemu-path", OPT_TYPE_STRING, &line.qemu_path, "FILE", "qemu-system-..."},
		OPT_END,
	};
	/* clang-format on */
	const struct opt_parser parser = {
		.usage = "krun-api [OPTION]...",
		.about = "Serves the REST interface to the microVMs of this host.",
		.opts = opts,
	};
	char **operands;
	int r = opt_parse(&parser, argv, &operands, NULL, ret_outcome, err);

	if (r >= 0 && *ret_outcome == OPT_OUTCOME_RUN && operands[0] != NULL)
		r = err_set(err, EINVAL, "'%.80s': krun-api takes options only", operands[0]);
	if (r >= 0 && *ret_outcome == OPT_OUTCOME_RUN && line.config != NULL)
		r = read_file(&given, line.config, err);
	if (r >= 0 && *ret_outcome == OPT_OUTCOME_RUN) {
		merge(&given, &line);
		r = fill_in(settings, &given, err);
	}
	strv_free(line.listen);
	return r;
}

void settings_done(struct settings *settings)
{
	strv_free(settings->listen);
	free(settings->state_dir);
	free(settings->socket_dir);
	free(settings->token_file);
	free(settings->backend);
	free(settings->vmm_path);
	free(settings->net_path);
	free(settings->image_path);
	free(settings->vminit_path);
	free(settings->boot_disk_path);
	free(settings->libkrun_path);
	free(settings->libkrunfw_path);
	free(settings->qemu_path);
	*settings = (struct settings){0};
}
