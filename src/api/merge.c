/* SPDX-License-Identifier: Apache-2.0 */
#include "merge.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "wire/limits.h"
#include "wire/signal.h"

/* Tag and length of each string in the message, and its NUL. */
#define STRING_OVERHEAD_BYTES 7

/* An image is somebody else's: what is not as it should be counts as absent. */
static char **get_strings(json_t *object, const char *name)
{
	json_t *array = json_object_get(object, name), *item;
	char **strings = NULL;
	size_t i;

	json_array_foreach(array, i, item) {
		if (json_is_string(item))
			strv_push(&strings, json_string_value(item));
	}
	return strings;
}

static char *get_string(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text == NULL || *text == '\0' ? NULL : mem_strdup(text);
}

static void append_strings(char ***to, char *const *from)
{
	for (; from != NULL && *from != NULL; from++)
		strv_push(to, *from);
}

static void merge_exec(const struct machine_config *config, json_t *image, struct merged *merged)
{
	_cleanup_strv_ char **entrypoint = get_strings(image, "Entrypoint");
	_cleanup_strv_ char **cmd = get_strings(image, "Cmd");

	if (config->exec_path != NULL)
		strv_push(&merged->exec, config->exec_path);
	else
		append_strings(&merged->exec, entrypoint);
	if (config->args != NULL)
		append_strings(&merged->exec, config->args);
	else if (config->exec_path == NULL)
		append_strings(&merged->exec, cmd);
}

static void set_env(char ***env, const char *setting)
{
	const char *equals = strchr(setting, '=');
	_cleanup_free_ char *key = NULL;

	if (equals == NULL || equals == setting)
		return;
	key = mem_strdup(setting);
	key[equals - setting] = '\0';
	strv_env_set(env, key, equals + 1);
}

static void merge_env(const struct machine_config *config, json_t *image, struct merged *merged)
{
	_cleanup_strv_ char **of_image = get_strings(image, "Env");

	set_env(&merged->env, MERGE_PATH);
	for (char **setting = of_image; setting != NULL && *setting != NULL; setting++)
		set_env(&merged->env, *setting);
	for (char **setting = config->env; setting != NULL && *setting != NULL; setting++)
		set_env(&merged->env, *setting);
	if (config->tty && strv_env_get(merged->env, "TERM") == NULL)
		strv_push(&merged->env, "TERM=xterm");
}

static char *prefer(const char *own, char *of_image)
{
	if (own == NULL)
		return of_image;
	free(of_image);
	return mem_strdup(own);
}

int merge_check_size(char *const *exec, char *const *env, const char *workdir, const char *user,
		     struct err *err)
{
	char *const *lists[] = {exec, env};
	size_t total = 0;

	if (strv_length(exec) > LIMIT_ARGS)
		return err_set(err, EDOM, "there are more than %d arguments", LIMIT_ARGS);
	if (strv_length(env) > LIMIT_ENV)
		return err_set(err, EDOM, "there are more than %d environment variables",
			       LIMIT_ENV);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (char *const *text = lists[i]; text != NULL && *text != NULL; text++)
			total += strlen(*text) + STRING_OVERHEAD_BYTES;
	}
	total += workdir == NULL ? 0 : strlen(workdir) + STRING_OVERHEAD_BYTES;
	total += user == NULL ? 0 : strlen(user) + STRING_OVERHEAD_BYTES;
	if (total > LIMIT_PROCESS_BYTES)
		return err_set(err, EDOM,
			       "arguments and environment together are larger than %lu bytes",
			       LIMIT_PROCESS_BYTES);
	return 0;
}

int merge(const struct machine_config *config, const char *image_config, struct merged *ret_merged,
	  struct err *err)
{
	_cleanup_(merged_done) struct merged merged = {0};
	json_t *image = image_config == NULL ? NULL : json_loads(image_config, 0, NULL);
	int r;

	merge_exec(config, image, &merged);
	merge_env(config, image, &merged);
	merged.workdir = prefer(config->workdir, get_string(image, "WorkingDir"));
	merged.user = prefer(config->user, get_string(image, "User"));
	merged.stop_signal = prefer(config->stop.signal, get_string(image, "StopSignal"));
	json_decref(image);
	if (merged.stop_signal == NULL || wire_signal_parse(merged.stop_signal) < 0)
		mem_replace(&merged.stop_signal, "SIGTERM");
	if (merged.exec == NULL || merged.exec[0] == NULL)
		return err_set(err, EDOM,
			       "config.exec_path is needed: the image has neither "
			       "Entrypoint nor Cmd");
	if (merged.exec[0][0] == '\0')
		return err_set(err, EDOM, "config.exec_path: the program to run is an empty text");
	r = merge_check_size(merged.exec, merged.env, merged.workdir, merged.user, err);
	if (r < 0)
		return r;
	*ret_merged = merged;
	merged = (struct merged){0};
	return 0;
}

void merged_done(struct merged *merged)
{
	strv_free(merged->exec);
	strv_free(merged->env);
	free(merged->workdir);
	free(merged->user);
	free(merged->stop_signal);
	*merged = (struct merged){0};
}
