/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "user.h"

#define DEFAULTS_MAX 3 /* PATH, HOME, TERM */

struct environment {
	const char *items[LIMIT_ENV + DEFAULTS_MAX + 1];
	char home[sizeof("HOME=") + LIMIT_PATH_BYTES];
};

const char *exec_env_get(const char *const *env, const char *name)
{
	size_t length = strlen(name);

	for (; *env != NULL; env++) {
		if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
			return *env + length + 1;
	}
	return NULL;
}

bool exec_path_next(const char **path, const char *name, char *ret_candidate, size_t size)
{
	while (*path != NULL) {
		const char *start = *path;
		int length = (int)strcspn(start, ":");
		int n;

		*path = start[length] == ':' ? start + length + 1 : NULL;
		n = length == 0 ? snprintf(ret_candidate, size, "./%s", name)
				: snprintf(ret_candidate, size, "%.*s/%s", length, start, name);
		if (n > 0 && (size_t)n < size)
			return true;
	}
	return false;
}

static void make_environment(const struct exec_plan *plan, const char *home,
			     struct environment *ret_env)
{
	size_t n = 0;

	while (plan->what->env[n] != NULL) {
		ret_env->items[n] = plan->what->env[n];
		n++;
	}
	if (exec_env_get(plan->what->env, "PATH") == NULL)
		ret_env->items[n++] = "PATH=" EXEC_PATH_DEFAULT;
	if (exec_env_get(plan->what->env, "HOME") == NULL) {
		snprintf(ret_env->home, sizeof(ret_env->home), "HOME=%s", home);
		ret_env->items[n++] = ret_env->home;
	}
	if (plan->what->tty && exec_env_get(plan->what->env, "TERM") == NULL)
		ret_env->items[n++] = "TERM=xterm";
	ret_env->items[n] = NULL;
}

/* Standard descriptors, and the terminal as the controlling one. */
static int take_descriptors(const struct exec_plan *plan, struct failure *failure)
{
	if (setsid() < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot start a session");
	if (plan->what->tty && ioctl(plan->stdin_fd, TIOCSCTTY, 0) < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot take the terminal");
	if (dup2(plan->stdin_fd, STDIN_FILENO) < 0 || dup2(plan->stdout_fd, STDOUT_FILENO) < 0 ||
	    dup2(plan->stderr_fd, STDERR_FILENO) < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot set standard descriptors");
	return 0;
}

static int enter_workdir(const char *workdir, struct failure *failure)
{
	if (workdir == NULL)
		workdir = "/";
	if (chdir(workdir) < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot enter the directory %s",
					 workdir);
	return 0;
}

static int become_user(const struct exec_plan *plan, const struct user *user,
		       struct failure *failure)
{
	if (user->uid == geteuid() && user->gid == getegid() && geteuid() != 0)
		return 0;
	/* As a terminal would be after a login; some shells insist. */
	if (plan->what->tty &&
	    (fchown(STDIN_FILENO, user->uid, (gid_t)-1) < 0 || fchmod(STDIN_FILENO, 0620) < 0))
		return failure_set_errno(failure, CODE_SET_UP, "cannot hand the terminal over");
	if (setgroups(user->group_count, user->groups) < 0 ||
	    setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return failure_set_errno(failure, CODE_SET_UP, "cannot become user %u:%u",
					 user->uid, user->gid);
	return 0;
}

/* What PID 1 has blocked must not be blocked in others. It neither ignores nor handles any. */
static void unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Why an exec of a file that was asked for by its path, or found, did not work: errno is its. */
static int fail_exec(const char *path, struct failure *failure)
{
	struct stat st;

	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		if (stat(path, &st) == 0)
			return failure_set(failure, CODE_NOT_FOUND,
					   "%s is there, but not the interpreter it asks for",
					   path);
		return failure_set(failure, CODE_NOT_FOUND, "%s: not found", path);
	case EACCES:
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			return failure_set(failure, CODE_NOT_EXECUTABLE, "%s is a directory", path);
		return failure_set(failure, CODE_NOT_EXECUTABLE, "%s: permission denied", path);
	case ENOEXEC:
		return failure_set(failure, CODE_NOT_EXECUTABLE,
				   "%s: not a program for this machine, nor a script with #!",
				   path);
	default:
		return failure_set_errno(failure, CODE_NOT_EXECUTABLE, "%s", path);
	}
}

/* Returns only when it did not work. */
static int run(const struct wire_process *what, const char *const *env, struct failure *failure)
{
	const char *path = exec_env_get(env, "PATH");
	char *const *argv = (char *const *)what->argv;
	char *const *envp = (char *const *)env;
	char candidate[LIMIT_PATH_BYTES + 1], denied[LIMIT_PATH_BYTES + 1] = "";

	if (strchr(what->argv[0], '/') != NULL) {
		execve(what->argv[0], argv, envp);
		return fail_exec(what->argv[0], failure);
	}
	if (what->argv[0][0] == '\0')
		return failure_set(failure, CODE_NOT_FOUND, "the command is empty");
	while (exec_path_next(&path, what->argv[0], candidate, sizeof(candidate))) {
		execve(candidate, argv, envp);
		if (errno == EACCES)
			strcpy(denied, candidate);
		else if ((errno != ENOENT && errno != ENOTDIR) || access(candidate, F_OK) == 0)
			return fail_exec(candidate, failure);
	}
	if (denied[0] != '\0') {
		errno = EACCES;
		return fail_exec(denied, failure);
	}
	return failure_set(failure, CODE_NOT_FOUND, "%s: not found in PATH", what->argv[0]);
}

static int try(const struct exec_plan *plan, struct failure *failure)
{
	const char *spec = plan->what->user != NULL ? plan->what->user : platform_default_user();
	struct user user = {.uid = geteuid(), .gid = getegid(), .home = "/"};
	struct environment env;

	if (take_descriptors(plan, failure) < 0)
		return -1;
	if (spec != NULL && *spec != '\0') {
		if (user_resolve(spec, "/etc/passwd", "/etc/group", &user, failure) < 0)
			return -1;
	}
	if (enter_workdir(plan->what->workdir, failure) < 0)
		return -1;
	if (become_user(plan, &user, failure) < 0)
		return -1;
	make_environment(plan, user.home, &env);
	umask(022);
	unblock_signals();
	return run(plan->what, env.items, failure);
}

void exec_child(const struct exec_plan *plan)
{
	struct failure failure = {0};

	/* A failure fits into one atomic write; who should read it is PID 1. */
	if (try(plan, &failure) < 0 &&
	    write(plan->status_fd, &failure, sizeof(failure)) != (ssize_t)sizeof(failure))
		_exit(CODE_SET_UP);
	_exit((int)failure.code);
}
