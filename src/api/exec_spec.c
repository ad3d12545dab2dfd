/* SPDX-License-Identifier: Apache-2.0 */
#include "exec_spec.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "bounds.h"
#include "launch.h"
#include "machine.h"

#define AT(member) offsetof(struct exec_spec, member)

/* clang-format off */
#define COMMON_FIELDS \
	{"cmd", JSON_WANT_STRINGS, AT(cmd), .required = true, .max = LIMIT_ARGS}, \
	{"env", JSON_WANT_MAP, AT(env), .max = LIMIT_ENV}, \
	{"workdir", JSON_WANT_STRING, AT(workdir)}, \
	{"user", JSON_WANT_STRING, AT(user)}, \
	{"timeout_s", JSON_WANT_INT, AT(timeout_s), .min = 1, .max = EXEC_TIMEOUT_S_MAX}
/* clang-format on */

static const struct json_field one_shot_fields[] = {
	COMMON_FIELDS,
	{"stdin", JSON_WANT_STRING, AT(input)},
	JSON_FIELD_END,
};

static const struct json_field stream_fields[] = {
	COMMON_FIELDS,
	{"tty", JSON_WANT_BOOL, AT(tty)},
	{"rows", JSON_WANT_INT, AT(rows), .min = 0, .max = EXEC_WINDOW_MAX},
	{"columns", JSON_WANT_INT, AT(columns), .min = 0, .max = EXEC_WINDOW_MAX},
	JSON_FIELD_END,
};

void exec_spec_done(struct exec_spec *spec)
{
	strv_free(spec->cmd);
	strv_free(spec->env);
	free(spec->workdir);
	free(spec->user);
	free(spec->input);
	*spec = (struct exec_spec){0};
}

static void forget_empty(char **text)
{
	if (*text != NULL && **text == '\0') {
		free(*text);
		*text = NULL;
	}
}

int exec_spec_read(struct exec_spec *spec, bool streams, const char *text, size_t length,
		   struct err *err)
{
	_cleanup_json_ json_t *body = NULL;
	int r = json_parse(text == NULL ? "" : text, length, &body, err);

	if (r >= 0)
		r = json_read(body, "", streams ? stream_fields : one_shot_fields, spec, err);
	if (r < 0)
		return r;
	if (spec->cmd[0] == NULL || spec->cmd[0][0] == '\0')
		return err_set(err, EDOM, "cmd must name a program");
	/* As in the machine's own configuration, an empty text is none. */
	forget_empty(&spec->workdir);
	forget_empty(&spec->user);
	spec->has_no_input = !streams && (spec->input == NULL || *spec->input == '\0');
	if (spec->workdir != NULL && spec->workdir[0] != '/')
		return err_set(err, EDOM, "workdir must be an absolute path, not '%.64s'",
			       spec->workdir);
	return 0;
}

static void lay_over(char ***env, char *const *over)
{
	for (; over != NULL && *over != NULL; over++) {
		const char *equals = strchr(*over, '=');
		_cleanup_free_ char *key = mem_strdup(*over);

		key[equals - *over] = '\0';
		strv_env_set(env, key, equals + 1);
	}
}

static void fill_process(struct wire_process *process, const struct exec_spec *spec,
			 const struct merged *merged, char *const *env)
{
	size_t count;

	for (count = 0; spec->cmd[count] != NULL; count++)
		process->argv[count] = spec->cmd[count];
	process->argv[count] = NULL;
	for (count = 0; env != NULL && env[count] != NULL && count < LIMIT_ENV; count++)
		process->env[count] = env[count];
	process->env[count] = NULL;
	process->workdir = spec->workdir != NULL ? spec->workdir : merged->workdir;
	process->user = spec->user != NULL ? spec->user : merged->user;
	process->tty = spec->tty;
	process->rows = (uint32_t)spec->rows;
	process->columns = (uint32_t)spec->columns;
}

/* Whoever has a terminal wants to be told of which kind; xterm is what every one understands. */
static void name_terminal(const struct exec_spec *spec, char ***env)
{
	if (spec->tty && strv_env_get(*env, "TERM") == NULL)
		strv_env_set(env, "TERM", "xterm");
}

int exec_spec_start(const struct exec_spec *spec, struct machine *machine,
		    const struct session_calls *calls, void *user, struct session **ret_session,
		    struct err *err)
{
	_cleanup_free_ struct wire_open *open = NULL;
	_cleanup_strv_ char **env = NULL;
	const struct merged *merged;
	int r = session_check(machine, err);

	if (r >= 0)
		r = launch_merged(machine, &merged, err);
	if (r < 0)
		return r;
	env = strv_copy(merged->env);
	lay_over(&env, spec->env);
	name_terminal(spec, &env);
	open = mem_realloc(NULL, sizeof(*open));
	wire_clear(&wire_open_message, open);
	open->kind = WIRE_KIND_EXEC;
	open->input_ended = spec->has_no_input;
	fill_process(&open->process, spec, merged, env);
	r = merge_check_size(spec->cmd, env, open->process.workdir, open->process.user, err);
	if (r >= 0)
		r = session_new(machine, open, calls, user, ret_session, err);
	if (r >= 0 && spec->timeout_s > 0)
		session_limit_time(*ret_session, spec->timeout_s);
	return r;
}
