/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vminit-fake: the guest's work as an ordinary process on the host, for tests. Never installed.
 *
 * Two processes. The outer one, which its starter knows, only waits; the inner one does the work. So
 * when the outer is killed, by whatever signal, the inner sees its pipe end, kills everything that it
 * and its children have started, and ends: as a VM takes all its processes with it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "fd.h"
#include "platform.h"

#define KILL_ROUNDS_MAX 1000
#define SECTOR_BYTES    512 /* of struct rusage */

static const char *session_path;
static pid_t inner;                 /* in the outer process */
static int guard_fds[2] = {-1, -1}; /* a pipe that ends with the outer process */

int platform_set_up(const struct wire_config *config, struct set_up_times *ret_times,
		    struct failure *failure)
{
	if (config->root_kind != WIRE_ROOT_HOST)
		return failure_set(failure, CODE_SET_UP, "the fake guest has only the host's root");
	*ret_times = (struct set_up_times){0};
	return 0;
}

bool platform_has_session_ports(void)
{
	return false;
}

int platform_session_dial(uint32_t port, bool *ret_connecting)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	(void)port;
	if (strlen(session_path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, session_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	*ret_connecting = false;
	return fd;
}

/* The host's clock is the host's. */
void platform_clock_set(uint64_t realtime_ns)
{
	(void)realtime_ns;
}

pid_t platform_fork(enum process_kind kind)
{
	pid_t pid = fork();

	(void)kind;
	return pid < 0 ? -errno : pid;
}

/* With a thread beside it, and sanitizers that keep books of stacks, only a copy will do. */
pid_t platform_spawn(enum process_kind kind, void (*run)(void *argument), void *argument,
		     void *stack, size_t stack_bytes)
{
	pid_t pid = platform_fork(kind);

	(void)stack;
	(void)stack_bytes;
	if (pid == 0)
		run(argument);
	return pid;
}

const char *platform_default_user(void)
{
	return NULL;
}

uint64_t platform_oom_kills(enum process_kind kind)
{
	(void)kind;
	return 0;
}

static void add_usage(int who, struct wire_stats *stats)
{
	struct rusage usage;

	if (getrusage(who, &usage) < 0)
		return;
	stats->cpu_us += (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
			 (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	stats->disk_read_bytes += (uint64_t)usage.ru_inblock * SECTOR_BYTES;
	stats->disk_written_bytes += (uint64_t)usage.ru_oublock * SECTOR_BYTES;
}

/* The machine is the host, but what it has used is what its processes have that ended. */
void platform_stats_read(struct wire_stats *ret_stats)
{
	struct sysinfo info;
	struct statvfs fs;

	*ret_stats = (struct wire_stats){0};
	add_usage(RUSAGE_SELF, ret_stats);
	add_usage(RUSAGE_CHILDREN, ret_stats);
	if (sysinfo(&info) == 0) {
		ret_stats->memory_total_bytes = (uint64_t)info.totalram * info.mem_unit;
		ret_stats->memory_available_bytes = (uint64_t)info.freeram * info.mem_unit;
	}
	if (statvfs("/", &fs) == 0) {
		ret_stats->root_total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
		ret_stats->root_available_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	}
}

/* The parent of a process, by the fields of its stat file that follow the name in parentheses. */
static pid_t parent_of(const char *pid)
{
	char path[64], text[512];
	const char *after;
	int fd, parent;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	after = strrchr(text, ')');
	return after != NULL && sscanf(after, ") %*c %d", &parent) == 1 ? parent : -1;
}

/* Orphans become our children, one generation after the other, as their parents are reaped. */
void platform_kill_all(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		int pid = atoi(entry->d_name);

		if (pid > 0 && parent_of(entry->d_name) == getpid())
			kill(pid, SIGKILL);
	}
	if (dir != NULL)
		closedir(dir);
}

void platform_end(uint32_t code)
{
	_exit((int)code);
}

static void kill_until_none_is_left(void)
{
	for (int i = 0; i < KILL_ROUNDS_MAX; i++) {
		platform_kill_all();
		if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
			return;
	}
}

/* A thread of the inner process, which has nothing else to do. */
static void *watch_outer(void *arg)
{
	char byte;

	while (read(guard_fds[0], &byte, 1) < 0 && errno == EINTR)
		;
	kill_until_none_is_left();
	_exit(CODE_SIGNAL_BASE + SIGKILL);
	return arg;
}

static void run_inner(int control_fd)
{
	pthread_t watcher;

	fd_close(&guard_fds[1]);
	if (control_block_signals() < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ||
	    fd_set_nonblocking(control_fd) < 0 ||
	    pthread_create(&watcher, NULL, watch_outer, NULL) != 0)
		_exit(CODE_SET_UP);
	platform_end(control_run(control_fd));
}

static void on_terminate(int number)
{
	kill(inner, number);
}

static int run_outer(void)
{
	struct sigaction terminate = {.sa_handler = on_terminate};
	int status = 0;
	pid_t pid;

	fd_close(&guard_fds[0]);
	sigaction(SIGTERM, &terminate, NULL);
	do {
		pid = waitpid(inner, &status, 0);
	} while (pid < 0 && errno == EINTR);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	kill_until_none_is_left();
	return CODE_SIGNAL_BASE + WTERMSIG(status);
}

static int parse(int argc, char **argv, int *ret_control_fd)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--control-fd") == 0)
			*ret_control_fd = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--session-path") == 0)
			session_path = argv[i + 1];
		else
			return -1;
	}
	return argc % 2 == 1 && *ret_control_fd > STDERR_FILENO && session_path != NULL ? 0 : -1;
}

int main(int argc, char **argv)
{
	int control_fd = -1;

	if (parse(argc, argv, &control_fd) < 0) {
		fprintf(stderr, "usage: vminit-fake --control-fd FD --session-path PATH\n");
		return CODE_SET_UP;
	}
	fd_reserve_standard();
	/* Nothing that its starter left open by mistake may reach the workload. */
	if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || pipe2(guard_fds, O_CLOEXEC) < 0) {
		perror("vminit-fake");
		return CODE_SET_UP;
	}
	inner = fork();
	if (inner < 0) {
		perror("vminit-fake");
		return CODE_SET_UP;
	}
	if (inner == 0)
		run_inner(control_fd);
	close(control_fd);
	return run_outer();
}
