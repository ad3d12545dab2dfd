/* SPDX-License-Identifier: Apache-2.0 */
#include "spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/strv.h"

#define IMAGE_NAME_CHARS_MAX 100
#define ENV_FILE_BYTES_MAX   (1024 * 1024)
#define RESTARTS_MAX         1000000

/* ---- ports ---- */

static int parse_number(const char *text, size_t length, long long min, long long *ret_port)
{
	_cleanup_free_ char *copy = mem_printf("%.*s", (int)length, text);

	return opt_parse_int(copy, min, 65535, ret_port);
}

/* Cuts "IP:" off the front. */
static int take_address(const char **at, char **ret_ip)
{
	const char *text = *at, *end;

	if (*text == '[') {
		end = strchr(text, ']');
		if (end == NULL || end[1] != ':')
			return -EINVAL;
		*ret_ip = mem_printf("%.*s", (int)(end - text - 1), text + 1);
		*at = end + 2;
		return 0;
	}
	end = strchr(text, ':');
	if (end == NULL || strchr(end + 1, ':') == NULL) {
		*ret_ip = mem_strdup("127.0.0.1");
		return 0;
	}
	*ret_ip = mem_printf("%.*s", (int)(end - text), text);
	*at = end + 1;
	return 0;
}

static int read_port(const char *text, struct machine_port *port)
{
	const char *slash = strchr(text, '/');
	const char *colon;
	size_t length;
	int r;

	port->protocol = mem_strdup(slash != NULL ? slash + 1 : "tcp");
	if (strcmp(port->protocol, "tcp") != 0 && strcmp(port->protocol, "udp") != 0)
		return -EINVAL;
	r = take_address(&text, &port->host_ip);
	if (r < 0)
		return r;
	length = strcspn(text, "/");
	colon = memchr(text, ':', length);
	if (colon == NULL)
		return parse_number(text, length, 1, &port->guest_port);
	/* "IP::GUEST" and "0:GUEST": any free port. */
	if (colon > text) {
		r = parse_number(text, (size_t)(colon - text), 0, &port->host_port);
		if (r < 0)
			return r;
	}
	length -= (size_t)(colon + 1 - text);
	return parse_number(colon + 1, length, 1, &port->guest_port);
}

int spec_parse_port(const char *text, struct machine_ports *ports, struct err *err)
{
	struct machine_port port = {0};

	if (read_port(text, &port) < 0) {
		free(port.host_ip);
		free(port.protocol);
		return err_set(
			err, EINVAL,
			"a published port is [[IP:]HOST:]GUEST[/tcp|/udp], ports from 1 to 65535, "
			"not '%s'",
			text);
	}
	ports->items = mem_realloc_array(ports->items, ports->count + 1, sizeof(port));
	ports->items[ports->count++] = port;
	return 0;
}

/* ---- volumes ---- */

static bool is_path(const char *source)
{
	return strchr(source, '/') != NULL || strcmp(source, ".") == 0 || strcmp(source, "..") == 0;
}

int spec_parse_volume(const char *text, struct machine_volumes *volumes, struct err *err)
{
	const char *first = strchr(text, ':');
	const char *second = first != NULL ? strchr(first + 1, ':') : NULL;
	const char *mode = second != NULL ? second + 1 : "rw";
	struct machine_volume volume = {0};
	_cleanup_free_ char *source = NULL;
	size_t guest_length;
	int r;

	if (first == NULL || first == text || first[1] != '/' ||
	    (strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0))
		return err_set(err, EINVAL,
			       "a volume is SOURCE:GUEST[:ro], GUEST an absolute path, not '%s'",
			       text);
	source = mem_printf("%.*s", (int)(first - text), text);
	r = is_path(source) ? path_resolve(source, &volume.host_path) : 0;
	if (r < 0)
		return err_set_errno(err, -r, "volume '%s'", source);
	if (volume.host_path == NULL)
		volume.volume = take_ptr(source);
	guest_length = second != NULL ? (size_t)(second - first - 1) : strlen(first + 1);
	volume.guest_path = mem_printf("%.*s", (int)guest_length, first + 1);
	volume.read_only = strcmp(mode, "ro") == 0;
	volumes->items = mem_realloc_array(volumes->items, volumes->count + 1, sizeof(volume));
	volumes->items[volumes->count++] = volume;
	return 0;
}

/* ---- environment, labels ---- */

int spec_parse_env(const char *text, char ***env, struct err *err)
{
	const char *equals = strchr(text, '=');
	_cleanup_free_ char *key = NULL;
	const char *value;

	if (equals == text || *text == '\0')
		return err_set(err, EINVAL, "an environment variable is KEY=VALUE or KEY, not '%s'",
			       text);
	if (equals == NULL) {
		value = getenv(text);
		if (value != NULL)
			strv_env_set(env, text, value);
		return 0;
	}
	key = mem_printf("%.*s", (int)(equals - text), text);
	strv_env_set(env, key, equals + 1);
	return 0;
}

/* Lines of a file of variables, which is cut up. */
static int read_env_lines(char *text, char ***env, struct err *err)
{
	_cleanup_strv_ char **read = NULL;
	int r = 0;

	for (char *line = text, *next; line != NULL && r >= 0; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		line[strcspn(line, "\r")] = '\0';
		if (*line != '\0' && *line != '#')
			r = spec_parse_env(line, &read, err);
	}
	for (size_t i = 0; r >= 0 && read != NULL && read[i] != NULL; i++) {
		char *value = strchr(read[i], '=');

		*value++ = '\0';
		if (strv_env_get(*env, read[i]) == NULL)
			strv_env_set(env, read[i], value);
	}
	return r;
}

int spec_read_env_file(const char *path, char ***env, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	int r;

	buf_init(&text, ENV_FILE_BYTES_MAX);
	r = file_read(path, &text);
	if (r < 0)
		return err_set_errno(err, -r, "--env-file '%s'", path);
	if (text.length == 0)
		return 0;
	if (memchr(text.data, '\0', text.length) != NULL)
		return err_set(err, EINVAL, "--env-file '%s' is not a text", path);
	r = read_env_lines(text.data, env, err);
	return r < 0 ? err_prefix(err, "--env-file '%s'", path) : 0;
}

/* ---- restarts ---- */

int spec_parse_restart(const char *text, struct machine_restart *restart, struct err *err)
{
	const char *colon = strchr(text, ':');
	_cleanup_free_ char *policy =
		colon != NULL ? mem_printf("%.*s", (int)(colon - text), text) : mem_strdup(text);
	bool on_failure = strcmp(policy, "on-failure") == 0;

	if ((!on_failure && strcmp(policy, "no") != 0 && strcmp(policy, "always") != 0) ||
	    (colon != NULL &&
	     (!on_failure || opt_parse_int(colon + 1, 0, RESTARTS_MAX, &restart->max_retries) < 0)))
		return err_set(err, EINVAL,
			       "--restart is 'no', 'always' or 'on-failure[:N]', not '%s'", text);
	mem_replace(&restart->policy, policy);
	return 0;
}

int spec_parse_label(const char *text, char ***labels, struct err *err)
{
	const char *equals = strchr(text, '=');
	_cleanup_free_ char *key = NULL;

	if (equals == text || *text == '\0')
		return err_set(err, EINVAL, "a label is KEY=VALUE or KEY, not '%s'", text);
	key = mem_printf("%.*s", equals != NULL ? (int)(equals - text) : (int)strlen(text), text);
	strv_env_set(labels, key, equals != NULL ? equals + 1 : "");
	return 0;
}

/* ---- what to run ---- */

char *spec_image_name(const char *path)
{
	_cleanup_free_ char *whole = NULL;
	const char *base;
	char name[IMAGE_NAME_CHARS_MAX + 1];
	size_t length = 0;

	/* "." and ".." have names too. */
	if (path_resolve(path, &whole) < 0)
		whole = mem_strdup(path);
	base = strrchr(whole, '/');
	base = base != NULL ? base + 1 : whole;
	for (; *base != '\0' && length < IMAGE_NAME_CHARS_MAX; base++) {
		if (isascii((unsigned char)*base) && isalnum((unsigned char)*base))
			name[length++] = (char)tolower((unsigned char)*base);
		else if (length > 0 && isalnum((unsigned char)name[length - 1]))
			name[length++] = *base == '_' || *base == '.' ? *base : '-';
	}
	while (length > 0 && !isalnum((unsigned char)name[length - 1]))
		length--;
	return length > 0 ? mem_printf("%.*s:latest", (int)length, name)
			  : mem_strdup("image:latest");
}

static bool has_ending(const char *text, const char *ending)
{
	size_t length = strlen(text), ending_length = strlen(ending);

	return length > ending_length && strcmp(text + length - ending_length, ending) == 0;
}

static bool is_archive_name(const char *path)
{
	static const char *const endings[] = {".tar",     ".tar.gz", ".tgz",
					      ".tar.zst", ".tzst",   ".oci"};

	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		if (has_ending(path, endings[i]))
			return true;
	}
	return false;
}

int spec_classify(const char *text, enum spec_root *ret_root, struct err *err)
{
	struct stat st;

	if (*text == '\0')
		return err_set(err, EINVAL, "say what to run: a directory, an archive or an image");
	if (stat(text, &st) == 0) {
		if (S_ISREG(st.st_mode) && is_archive_name(text))
			*ret_root = SPEC_ROOT_ARCHIVE;
		else if (S_ISDIR(st.st_mode) || strchr(text, '/') != NULL)
			*ret_root = SPEC_ROOT_BUILD;
		else
			*ret_root = SPEC_ROOT_IMAGE;
		return 0;
	}
	/* No image's name begins like this, or ends like an archive. */
	if (text[0] == '/' || text[0] == '.' || is_archive_name(text))
		return err_set_errno(err, errno, "'%s'", text);
	*ret_root = SPEC_ROOT_IMAGE;
	return 0;
}
