/* SPDX-License-Identifier: Apache-2.0 */
/*
 * krun-api: remembers what users asked for and talks to one krun-vmm per running machine. Machines
 * do not hang on this process: at its end, however it comes, they run on, and the next one takes
 * them up.
 *
 * Order at start: lock, directories, database, machines (what is live is asked how it is), and only
 * when every state is known the first client is let in.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/rand.h"
#include "base/strv.h"
#include "bounds.h"
#include "child.h"
#include "connection.h"
#include "disk.h"
#include "events.h"
#include "image.h"
#include "listener.h"
#include "logs.h"
#include "probe.h"
#include "server.h"
#include "settings.h"
#include "store.h"
#include "turn.h"

#define OPEN_FILES       65536
#define ADOPT_TIMEOUT_MS 30000
#define STOP_TIMEOUT_MS  3000
#define LISTEN_TRIES     10
#define LISTEN_AGAIN_MS  50
#define LOCK_FILE        "api.lock"
#define DATABASE_FILE    "krun.db"

struct process {
	struct server server;
	uv_loop_t loop;
	uv_signal_t signals[2];
	uv_timer_t timer; /* of adopting, then of stopping */
	unsigned listen_tries;
	int exit_code;
};

/* ---- end ---- */

static void on_stop_timeout(uv_timer_t *timer)
{
	log_warn("not everything ended in time; leaving anyway");
	uv_stop(timer->loop);
}

static void stop(struct process *process)
{
	struct server *server = &process->server;

	if (server->is_stopping)
		return;
	server->is_stopping = true;
	listeners_close(server);
	connection_close_all(server);
	for (size_t i = 0; i < server->machines.count; i++) {
		struct machine *machine = server->machines.by_id[i];

		machine_let_go(machine);
	}
	for (size_t i = 0; i < ARRAY_SIZE(process->signals); i++)
		uv_close((uv_handle_t *)&process->signals[i], NULL);
	/* Only work that is under way still holds the loop; it has a while. */
	uv_timer_start(&process->timer, on_stop_timeout, STOP_TIMEOUT_MS, 0);
	uv_unref((uv_handle_t *)&process->timer);
}

static void on_signal(uv_signal_t *signal, int number)
{
	log_info("stopping on signal %d; machines go on", number);
	stop(signal->data);
}

/* ---- start ---- */

static int make_directories(struct server *server, struct err *err)
{
	const struct settings *settings = server->settings;
	char *const directories[] = {settings->state_dir, server->machines_dir, server->images_dir,
				     server->volumes_dir, server->cache_dir,    server->tmp_dir,
				     settings->socket_dir};

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		int r = file_mkdir_all(directories[i], 0700);

		if (r < 0)
			return err_set_errno(err, -r, "cannot make the directory '%s'",
					     directories[i]);
	}
	return 0;
}

/* A directory of sockets that somebody else owns or may write to is a trap. */
static int check_socket_dir(const char *path, struct err *err)
{
	struct stat st;
	size_t socket_bytes = strlen(path) + strlen("/0123456789ab/ctl") + 1;

	if (socket_bytes > FD_UNIX_PATH_BYTES_MAX)
		return err_set(
			err, ENAMETOOLONG,
			"'%s' is too long a path for sockets, by %zu bytes: say --socket-dir", path,
			socket_bytes - FD_UNIX_PATH_BYTES_MAX);

	if (lstat(path, &st) < 0)
		return err_set_errno(err, errno, "cannot look at '%s'", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return err_set(err, EPERM,
			       "'%s' must be a directory of this user that nobody else may write "
			       "to: say --socket-dir",
			       path);
	return 0;
}

/*
 * Held as long as the descriptor is open. A record lock, not flock(2): a child between fork and exec
 * does not hold it on when this process is killed.
 */
static int lock_state(const char *state_dir, int *ret_fd, struct err *err)
{
	_cleanup_free_ char *path = path_join(state_dir, LOCK_FILE);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set_errno(err, errno, "cannot open '%s'", path);
	if (fcntl(fd, F_SETLK, &lock) < 0) {
		fd_close(fd);
		return err_set(err, EBUSY, "another krun-api uses the state directory '%s'",
			       state_dir);
	}
	*ret_fd = fd;
	return 0;
}

static int empty_tmp(const char *tmp_dir, struct err *err)
{
	int r = file_remove_tree(tmp_dir);

	if (r >= 0)
		r = file_mkdir_all(tmp_dir, 0700);
	return r < 0 ? err_set_errno(err, -r, "cannot empty '%s'", tmp_dir) : 0;
}

static int prepare_token(struct server *server, struct err *err)
{
	const struct settings *settings = server->settings;
	_cleanup_free_ char *own = path_join(settings->state_dir, AUTH_TOKEN_FILE);
	const char *path = settings->token_file != NULL ? settings->token_file : own;
	bool tcp, public;
	int r = listeners_check(settings->listen, &tcp, &public, err);

	if (r < 0)
		return r;
	if (public && settings->token_file == NULL)
		return err_set(err, EINVAL,
			       "--listen with an address that others can reach needs --token-file");
	if (settings->token_file == NULL)
		r = auth_make_token(own, err);
	if (r >= 0 && tcp)
		r = auth_load_token(&server->auth, path, err);
	if (public)
		auth_allow_host_name(&server->auth);
	return r;
}

static int open_store(struct server *server, struct err *err)
{
	_cleanup_free_ char *path = path_join(server->settings->state_dir, DATABASE_FILE);

	return store_open(path, &server->store, err);
}

static void listen_or_stop(struct process *process);

static void on_listen_again(uv_timer_t *timer)
{
	struct process *process = timer->data;

	listen_or_stop(process);
}

/*
 * A krun-api that was killed this moment may have left a child that holds its sockets until it has
 * come to its exec: an address in use is tried again for a little while.
 */
static void listen_or_stop(struct process *process)
{
	struct server *server = &process->server;
	struct err err = {0};
	int r;

	if (server->is_stopping)
		return;
	r = listeners_open(server, server->settings->listen, &err);
	if (r == -EADDRINUSE && process->listen_tries++ < LISTEN_TRIES) {
		uv_timer_start(&process->timer, on_listen_again, LISTEN_AGAIN_MS, 0);
	} else if (r < 0) {
		log_error("%s", err.text);
		process->exit_code = EXIT_FAILURE;
		stop(process);
	} else {
		log_info("ready: %zu machines", server->machines.count);
	}
}

/* Every state is known: clients may come. */
static void serve(struct server *server)
{
	struct process *process = (struct process *)server;

	if (server->is_ready || server->is_stopping)
		return;
	server->is_ready = true;
	uv_timer_stop(&process->timer);
	listen_or_stop(process);
}

static void on_adopt_timeout(uv_timer_t *timer)
{
	struct process *process = timer->data;

	log_warn("%zu machines have not said how they are; going on without",
		 process->server.adopting);
	serve(&process->server);
}

static int start_signals(struct process *process, struct err *err)
{
	static const int numbers[] = {SIGTERM, SIGINT};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int r = uv_signal_start(&process->signals[i], on_signal, numbers[i]);

		if (r < 0)
			return err_set(err, -r, "cannot watch for signals: %s", uv_strerror(r));
	}
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static void init_server(struct server *server, const struct settings *settings)
{
	uint8_t random[4];

	server->settings = settings;
	server->machines_dir = path_join(settings->state_dir, "machines");
	server->images_dir = path_join(settings->state_dir, "images");
	server->volumes_dir = path_join(settings->state_dir, "volumes");
	server->cache_dir = path_join(settings->state_dir, "cache");
	server->tmp_dir = path_join(settings->state_dir, "tmp");
	server->read_buffer = mem_zalloc(HTTP_READ_BYTES);
	server->log_buffer = mem_zalloc(LOGS_SLICE_BYTES);
	server->started_at = clock_realtime_ns();
	rand_bytes(random, sizeof(random));
	hex_format(random, sizeof(random), server->request_prefix);
}

static int prepare(struct process *process, struct err *err)
{
	struct server *server = &process->server;
	int r;

	r = start_signals(process, err);
	if (r >= 0 && children_init(server) < 0)
		r = err_set(err, EIO, "cannot watch for the end of children");
	if (r >= 0)
		r = empty_tmp(server->tmp_dir, err);
	if (r >= 0)
		r = prepare_token(server, err);
	if (r >= 0)
		r = open_store(server, err);
	if (r < 0)
		return r;
	turns_init(server);
	events_init(server);
	disks_init(server);
	probe_init(server);
	images_clean(server);
	r = volumes_load(server, err);
	if (r >= 0)
		r = machines_load(server, err);
	if (r < 0)
		return r;
	server->on_adopted = serve;
	if (server->adopting == 0)
		serve(server);
	else
		uv_timer_start(&process->timer, on_adopt_timeout, ADOPT_TIMEOUT_MS, 0);
	return 0;
}

/* What is left when the loop has ended; the kernel would do it as well. */
static void done_server(struct server *server)
{
	machines_done(&server->machines);
	volumes_done(&server->volumes);
	if (server->disks != NULL)
		disks_done(server);
	if (server->probe != NULL)
		probe_done(server);
	if (server->events != NULL)
		events_done(server);
	if (server->turns != NULL)
		turns_done(server);
	children_done(server);
	uv_run(server->loop, UV_RUN_NOWAIT); /* calls back for what was closed */
	store_close(server->store);
	free(server->machines_dir);
	free(server->images_dir);
	free(server->volumes_dir);
	free(server->cache_dir);
	free(server->tmp_dir);
	free(server->read_buffer);
	free(server->log_buffer);
}

static int run(const struct settings *settings, struct err *err)
{
	static struct process process; /* handles must not go before the loop */
	struct server *server = &process.server;
	_cleanup_fd_ int lock_fd = -1;
	int r;

	uv_loop_init(&process.loop);
	server->loop = &process.loop;
	uv_timer_init(&process.loop, &process.timer);
	process.timer.data = &process;
	for (size_t i = 0; i < ARRAY_SIZE(process.signals); i++) {
		uv_signal_init(&process.loop, &process.signals[i]);
		process.signals[i].data = &process;
	}
	init_server(server, settings);
	r = make_directories(server, err);
	if (r >= 0)
		r = check_socket_dir(settings->socket_dir, err);
	if (r >= 0)
		r = lock_state(settings->state_dir, &lock_fd, err);
	if (r >= 0)
		r = prepare(&process, err);
	if (r < 0)
		stop(&process);
	uv_run(&process.loop, UV_RUN_DEFAULT);
	done_server(server);
	return r < 0 ? r : process.exit_code;
}

int main(int argc, char **argv)
{
	struct settings settings = {0};
	enum opt_outcome outcome = OPT_OUTCOME_RUN;
	struct err err = {0};
	int r = settings_read(&settings, argv, &outcome, &err);

	log_init("krun-api", settings.log_level);
	if (r >= 0 && outcome == OPT_OUTCOME_RUN) {
		umask(077);
		proc_raise_open_files(OPEN_FILES);
		r = run(&settings, &err);
	}
	if (r < 0)
		log_error("%s", err.text);
	settings_done(&settings);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
