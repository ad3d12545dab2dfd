/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "raw.h"
#include "user.h"

#define DEFAULTS_MAX 3 /* PATH, HOME, TERM */
#define ROOMS        (LIMIT_SESSIONS + 1)
#define STACK_BYTES  (64 * KIB) /* a line of passwd is the most of it */

struct exec_room {
	uint8_t stack[STACK_BYTES] __attribute__((aligned(16)));
	struct failure failure;
	struct user_cache users;
	struct exec_plan plan;
	struct wire_process what;
	const char *env[LIMIT_ENV + DEFAULTS_MAX + 1];
	char home[sizeof("HOME=") + LIMIT_PATH_BYTES];
	size_t kept_bytes;
	char kept[LIMIT_PAYLOAD_BYTES]; /* the strings: they came in one frame */
};

/* Shared, so that a child that is a copy of us can tell its failure, too. */
static struct exec_room *rooms;
static bool is_taken[ROOMS];

/* ---- in PID 1 ---- */

static bool keep(struct exec_room *room, const char *text, const char **ret_kept)
{
	size_t bytes;

	if (text == NULL)
		return true;
	bytes = strlen(text) + 1;
	if (bytes > sizeof(room->kept) - room->kept_bytes)
		return false;
	*ret_kept = memcpy(room->kept + room->kept_bytes, text, bytes);
	room->kept_bytes += bytes;
	return true;
}

static bool keep_all(struct exec_room *room, const char *const *texts, const char **ret_kept)
{
	size_t count;

	for (count = 0; texts[count] != NULL; count++) {
		if (!keep(room, texts[count], &ret_kept[count]))
			return false;
	}
	ret_kept[count] = NULL;
	return true;
}

/* Not all of what is there, of which most is never used. */
static bool fill(struct exec_room *room, const struct exec_plan *plan)
{
	const struct wire_process *what = plan->what;
	const char *user = what->user != NULL ? what->user : platform_default_user();

	room->plan = *plan;
	room->plan.what = &room->what;
	room->failure.code = 0;
	room->kept_bytes = 0;
	room->what.workdir = room->what.user = NULL;
	room->what.tty = what->tty;
	return keep_all(room, what->argv, room->what.argv) &&
	       keep_all(room, what->env, room->env) &&
	       keep(room, what->workdir, &room->what.workdir) && keep(room, user, &room->what.user);
}

static struct exec_room *find_room(void)
{
	void *memory;

	if (rooms == NULL) {
		memory = mmap(NULL, ROOMS * sizeof(*rooms), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (memory == MAP_FAILED)
			return NULL;
		rooms = memory;
	}
	for (size_t i = 0; i < ROOMS; i++) {
		if (!is_taken[i])
			return &rooms[i];
	}
	return NULL;
}

struct exec_room *exec_room_take(const struct exec_plan *plan)
{
	struct exec_room *room = find_room();

	if (room == NULL || !fill(room, plan))
		return NULL;
	is_taken[room - rooms] = true;
	return room;
}

void exec_room_give_back(struct exec_room *room)
{
	if (room != NULL)
		is_taken[room - rooms] = false;
}

const struct failure *exec_room_failure(const struct exec_room *room)
{
	return &room->failure;
}

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

/* ---- in the child ---- */

static void add_defaults(struct exec_room *room, const char *home)
{
	size_t n = 0;

	while (room->env[n] != NULL)
		n++;
	if (exec_env_get(room->env, "PATH") == NULL)
		room->env[n++] = "PATH=" EXEC_PATH_DEFAULT;
	room->env[n] = NULL;
	if (exec_env_get(room->env, "HOME") == NULL) {
		snprintf(room->home, sizeof(room->home), "HOME=%s", home);
		room->env[n++] = room->home;
	}
	room->env[n] = NULL;
	if (room->what.tty && exec_env_get(room->env, "TERM") == NULL)
		room->env[n++] = "TERM=xterm";
	room->env[n] = NULL;
}

/* Standard descriptors, and the terminal as the controlling one. */
static int take_descriptors(const struct exec_plan *plan, struct failure *failure)
{
	int r = (int)raw_call(SYS_setsid, 0, 0, 0, 0);

	if (r < 0)
		return failure_set_error(failure, CODE_SET_UP, -r, "cannot start a session");
	if (plan->what->tty) {
		r = (int)raw_call(SYS_ioctl, plan->stdin_fd, TIOCSCTTY, 0, 0);
		if (r < 0)
			return failure_set_error(failure, CODE_SET_UP, -r,
						 "cannot take the terminal");
	}
	r = raw_dup_to(plan->stdin_fd, STDIN_FILENO);
	if (r >= 0)
		r = raw_dup_to(plan->stdout_fd, STDOUT_FILENO);
	if (r >= 0)
		r = raw_dup_to(plan->stderr_fd, STDERR_FILENO);
	if (r < 0)
		return failure_set_error(failure, CODE_SET_UP, -r,
					 "cannot set standard descriptors");
	return 0;
}

static int enter_workdir(const char *workdir, struct failure *failure)
{
	int r;

	if (workdir == NULL)
		workdir = "/";
	r = (int)raw_call(SYS_chdir, (long)workdir, 0, 0, 0);
	if (r < 0)
		return failure_set_error(failure, CODE_SET_UP, -r, "cannot enter the directory %s",
					 workdir);
	return 0;
}

/* As a terminal would be after a login; some shells insist. */
static int hand_over_terminal(uid_t uid, struct failure *failure)
{
	int r = (int)raw_call(SYS_fchown, STDIN_FILENO, (long)uid, -1, 0);

	if (r >= 0)
		r = (int)raw_call(SYS_fchmod, STDIN_FILENO, 0620, 0, 0);
	if (r < 0)
		return failure_set_error(failure, CODE_SET_UP, -r, "cannot hand the terminal over");
	return 0;
}

static int become_user(const struct exec_plan *plan, const struct user *user,
		       struct failure *failure)
{
	uid_t own = (uid_t)raw_call(SYS_geteuid, 0, 0, 0, 0);
	int r;

	if (user->uid == own && own != 0 && user->gid == (gid_t)raw_call(SYS_getegid, 0, 0, 0, 0))
		return 0;
	if (plan->what->tty && hand_over_terminal(user->uid, failure) < 0)
		return -1;
	r = (int)raw_call(SYS_setgroups, (long)user->group_count, (long)user->groups, 0, 0);
	if (r >= 0)
		r = (int)raw_call(SYS_setresgid, user->gid, user->gid, user->gid, 0);
	if (r >= 0)
		r = (int)raw_call(SYS_setresuid, user->uid, user->uid, user->uid, 0);
	if (r < 0)
		return failure_set_error(failure, CODE_SET_UP, -r, "cannot become user %u:%u",
					 user->uid, user->gid);
	return 0;
}

/* What PID 1 has blocked must not be blocked in others. It neither ignores nor handles any. */
static void unblock_signals(void)
{
	static const uint64_t none = 0; /* as the kernel has it: a bit a signal */

	(void)raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, sizeof(none));
}

/* Why an exec of a file that was asked for by its path, or found, did not work. */
static int fail_exec(const char *path, int error, struct failure *failure)
{
	struct stat st = {0};

	switch (error) {
	case ENOENT:
	case ENOTDIR:
		if (raw_stat(path, &st) == 0)
			return failure_set(failure, CODE_NOT_FOUND,
					   "%s is there, but not the interpreter it asks for",
					   path);
		return failure_set(failure, CODE_NOT_FOUND, "%s: not found", path);
	case EACCES:
		if (raw_stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			return failure_set(failure, CODE_NOT_EXECUTABLE, "%s is a directory", path);
		return failure_set(failure, CODE_NOT_EXECUTABLE, "%s: permission denied", path);
	case ENOEXEC:
		return failure_set(failure, CODE_NOT_EXECUTABLE,
				   "%s: not a program for this machine, nor a script with #!",
				   path);
	default:
		return failure_set_error(failure, CODE_NOT_EXECUTABLE, error, "%s", path);
	}
}

/* Returns only when it did not work. */
static int run(const struct wire_process *what, const char *const *env, struct failure *failure)
{
	const char *path = exec_env_get(env, "PATH");
	char candidate[LIMIT_PATH_BYTES + 1], denied[LIMIT_PATH_BYTES + 1] = "";
	struct stat st = {0};
	int r;

	if (strchr(what->argv[0], '/') != NULL) {
		r = raw_execute(what->argv[0], what->argv, env);
		return fail_exec(what->argv[0], -r, failure);
	}
	if (what->argv[0][0] == '\0')
		return failure_set(failure, CODE_NOT_FOUND, "the command is empty");
	while (exec_path_next(&path, what->argv[0], candidate, sizeof(candidate))) {
		r = raw_execute(candidate, what->argv, env);
		if (r == -EACCES)
			strcpy(denied, candidate);
		else if ((r != -ENOENT && r != -ENOTDIR) || raw_stat(candidate, &st) == 0)
			return fail_exec(candidate, -r, failure);
	}
	if (denied[0] != '\0')
		return fail_exec(denied, EACCES, failure);
	return failure_set(failure, CODE_NOT_FOUND, "%s: not found in PATH", what->argv[0]);
}

static int try(struct exec_room *room)
{
	const struct exec_plan *plan = &room->plan;
	const char *spec = plan->what->user;
	struct user user;

	if (take_descriptors(plan, &room->failure) < 0)
		return -1;
	if (spec == NULL || *spec == '\0') {
		/* Stays who it is. */
		user.uid = (uid_t)raw_call(SYS_geteuid, 0, 0, 0, 0);
		user.gid = (gid_t)raw_call(SYS_getegid, 0, 0, 0, 0);
		user.group_count = 0;
		strcpy(user.home, "/");
	} else if (user_resolve_cached(&room->users, spec, "/etc/passwd", "/etc/group", &user,
				       &room->failure) < 0) {
		return -1;
	}
	if (enter_workdir(plan->what->workdir, &room->failure) < 0 ||
	    become_user(plan, &user, &room->failure) < 0)
		return -1;
	add_defaults(room, user.home);
	(void)raw_call(SYS_umask, 022, 0, 0, 0);
	unblock_signals();
	return run(plan->what, room->env, &room->failure);
}

static void run_child(void *argument)
{
	struct exec_room *room = argument;

	(void)try(room);
	for (;;)
		(void)raw_call(SYS_exit_group, (int)room->failure.code, 0, 0, 0);
}

pid_t exec_room_spawn(struct exec_room *room, enum process_kind kind)
{
	return platform_spawn(kind, run_child, room, room->stack, sizeof(room->stack));
}
