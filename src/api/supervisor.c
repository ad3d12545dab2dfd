/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "child.h"
#include "link.h"
#include "machine.h"
#include "machine/vmm_config.h"
#include "server.h"
#include "watch.h"

#define WATCHES_MAX    3 /* supervisor, VM process, krun-net */
#define LOG_TAIL_BYTES 2048
#define CONTROL_SOCKET "ctl"
#define VMM_LOG        "vmm.log"

enum phase {
	PHASE_CONNECTING,
	PHASE_FOLLOWING,
	PHASE_SETTLING,
};

/* What the one timer is for. */
enum deadline {
	DEADLINE_NONE,
	DEADLINE_HELLO, /* krun-vmm did not answer: kill it */
	DEADLINE_STOP,  /* a stop took too long: KILL */
	DEADLINE_KILL,  /* KILL took too long: kill it */
	DEADLINE_END,   /* a last STATE and no end of the connection; or processes that do not go */
	DEADLINE_DEAD,  /* killed processes that do not go */
};

struct supervisor {
	struct server *server;
	struct machine *machine;
	enum phase phase;
	enum deadline deadline;
	uv_timer_t timer;
	struct link *link;
	struct link *kept; /* of a session that is over */
	char *control_path;
	struct machine_record last; /* what is known of the start: STATE, else record.json */
	struct proc_id process;     /* krun-vmm */
	struct child *child;        /* NULL: not ours, or reaped */
	int child_status;
	bool child_ended;
	bool adopting;  /* the server waits for the first word of it */
	bool was_here;  /* a STATE came */
	bool has_ended; /* the last STATE was one of rest */
	unsigned reconnects;
	struct watch *watches[WATCHES_MAX];
	size_t watch_count, watches_left;
	bool stop_wanted, kill_wanted;
	struct wire_shutdown stop;
	const char *killed_because; /* we had to */
};

static void settle(struct supervisor *supervisor);
static int connect_control(struct supervisor *supervisor);

/* ---- the timer ---- */

static void on_deadline(uv_timer_t *timer);

static void set_deadline(struct supervisor *supervisor, enum deadline deadline, int64_t ms)
{
	supervisor->deadline = deadline;
	if (deadline == DEADLINE_NONE)
		uv_timer_stop(&supervisor->timer);
	else
		uv_timer_start(&supervisor->timer, on_deadline, (uint64_t)ms, 0);
}

/* ---- beginning and end of the object ---- */

static struct supervisor *supervisor_new(struct machine *machine)
{
	struct supervisor *supervisor = mem_new(struct supervisor);
	_cleanup_free_ char *run_dir = machine_run_directory(machine);

	supervisor->server = machine->server;
	supervisor->machine = machine;
	supervisor->control_path = path_join(run_dir, CONTROL_SOCKET);
	machine_record_init(&supervisor->last);
	uv_timer_init(machine->server->loop, &supervisor->timer);
	supervisor->timer.data = supervisor;
	machine->supervisor = supervisor;
	return supervisor;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void free_watches(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->watch_count; i++)
		watch_free(supervisor->watches[i]);
	supervisor->watch_count = 0;
	supervisor->watches_left = 0;
}

void supervisor_free(struct supervisor *supervisor)
{
	if (supervisor == NULL)
		return;
	supervisor->machine->supervisor = NULL;
	link_free(supervisor->link);
	link_free(supervisor->kept);
	child_forget(supervisor->child);
	free_watches(supervisor);
	machine_record_done(&supervisor->last);
	free(supervisor->control_path);
	uv_close((uv_handle_t *)&supervisor->timer, on_timer_closed);
}

/* The server may be waiting for the state of this machine before it serves anybody. */
static void end_adopting(struct server *server, bool *adopting)
{
	if (!*adopting)
		return;
	*adopting = false;
	if (--server->adopting == 0 && server->on_adopted != NULL)
		server->on_adopted(server);
}

/* ---- how it ended ---- */

static void load_record(struct supervisor *supervisor)
{
	_cleanup_free_ char *directory = machine_directory(supervisor->machine);
	struct machine_record record;
	struct err err = {0};

	machine_record_init(&record);
	if (machine_record_load(&record, directory, MACHINE_RECORD_FILE, &err) >= 0 &&
	    record.generation == supervisor->machine->generation) {
		machine_record_done(&supervisor->last);
		supervisor->last = record;
		return;
	}
	machine_record_done(&record);
}

static bool load_exit(struct supervisor *supervisor)
{
	_cleanup_free_ char *directory = machine_directory(supervisor->machine);
	struct machine_record record;
	struct err err = {0};

	machine_record_init(&record);
	if (machine_record_load(&record, directory, MACHINE_EXIT_FILE, &err) >= 0 &&
	    record.generation == supervisor->machine->generation &&
	    !machine_state_is_live(record.state)) {
		machine_record_done(&supervisor->last);
		supervisor->last = record;
		return true;
	}
	machine_record_done(&record);
	return false;
}

/* The last line that krun-vmm wrote to its log, or "". */
static void read_last_words(const struct supervisor *supervisor, char ret_text[LOG_TAIL_BYTES])
{
	_cleanup_free_ char *directory = machine_directory(supervisor->machine);
	_cleanup_free_ char *path = path_join(directory, VMM_LOG);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t length;
	char *line;

	ret_text[0] = '\0';
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	length = pread(fd, ret_text, LOG_TAIL_BYTES - 1,
		       st.st_size >= LOG_TAIL_BYTES ? st.st_size - LOG_TAIL_BYTES + 1 : 0);
	if (length < 0)
		length = 0;
	while (length > 0 && ret_text[length - 1] == '\n')
		length--;
	ret_text[length] = '\0';
	line = strrchr(ret_text, '\n');
	if (line != NULL)
		memmove(ret_text, line + 1, strlen(line + 1) + 1);
}

static char *describe_loss(const struct supervisor *supervisor)
{
	char how[64] = "was killed", words[LOG_TAIL_BYTES];
	bool was_ours = supervisor->child != NULL || supervisor->child_ended;

	if (supervisor->deadline == DEADLINE_DEAD && supervisor->watches_left > 0)
		return mem_printf("krun-vmm (process %d) or one of its children cannot be ended",
				  (int)supervisor->process.pid);
	if (supervisor->killed_because != NULL)
		return mem_printf("krun-vmm was killed: %s", supervisor->killed_because);
	if (supervisor->last.generation != 0)
		return mem_strdup("the supervisor was killed");
	if (!was_ours)
		return mem_strdup("krun-api ended before krun-vmm was up");
	if (supervisor->child_ended)
		child_describe(supervisor->child_status, how, sizeof(how));
	read_last_words(supervisor, words);
	return mem_printf("krun-vmm %s before it was up%s%.600s", how, words[0] == '\0' ? "" : ": ",
			  words);
}

/* Nothing of the start runs any more. */
static void finish(struct supervisor *supervisor)
{
	_cleanup_free_ char *run_dir = machine_run_directory(supervisor->machine);
	struct server *server = supervisor->server;
	struct machine *machine = supervisor->machine;
	struct machine_record record;
	bool adopting = supervisor->adopting;

	child_try_reap(supervisor->child);
	if (!load_exit(supervisor) && !supervisor->has_ended) {
		char *reason = describe_loss(supervisor);

		free(supervisor->last.reason);
		supervisor->last.reason = reason;
		supervisor->last.state = MACHINE_STATE_FAILED;
		if (supervisor->last.finished_at == 0)
			supervisor->last.finished_at = clock_realtime_ns();
	}
	record = supervisor->last;
	machine_record_init(&supervisor->last);
	supervisor_free(supervisor);
	if (file_remove_tree(run_dir) < 0)
		log_warn("cannot remove '%s'", run_dir);
	machine_settle(machine, &record);
	end_adopting(server, &adopting);
}

static void on_process_ended(void *user)
{
	struct supervisor *supervisor = user;

	if (--supervisor->watches_left == 0)
		finish(supervisor);
}

static void watch_process(struct supervisor *supervisor, const struct proc_id *id)
{
	struct watch *watch;

	if (id->pid == 0 ||
	    watch_new(supervisor->server->loop, id, on_process_ended, supervisor, &watch) < 0)
		return;
	supervisor->watches[supervisor->watch_count++] = watch;
	supervisor->watches_left++;
}

/* Waits for the processes to be gone; the start may be over when this returns. */
static void settle_within(struct supervisor *supervisor, enum deadline deadline, int64_t ms)
{
	supervisor->phase = PHASE_SETTLING;
	link_free(take_ptr(supervisor->link));
	link_free(take_ptr(supervisor->kept));
	free_watches(supervisor);
	if (!supervisor->was_here)
		load_record(supervisor);
	if (supervisor->last.supervisor.pid != 0)
		supervisor->process = supervisor->last.supervisor;
	watch_process(supervisor, &supervisor->process);
	watch_process(supervisor, &supervisor->last.vm);
	watch_process(supervisor, &supervisor->last.net);
	if (supervisor->watches_left == 0)
		finish(supervisor);
	else
		set_deadline(supervisor, deadline, ms);
}

static void settle(struct supervisor *supervisor)
{
	if (supervisor->phase != PHASE_SETTLING)
		settle_within(supervisor, DEADLINE_END, SUPERVISOR_END_MS);
}

static void kill_processes(struct supervisor *supervisor)
{
	if (supervisor->process.pid != 0)
		proc_kill(&supervisor->process, SIGKILL);
	if (supervisor->last.vm.pid != 0)
		proc_kill(&supervisor->last.vm, SIGKILL);
	if (supervisor->last.net.pid != 0)
		proc_kill(&supervisor->last.net, SIGKILL);
}

/* ---- deadlines ---- */

static void kill_and_settle(struct supervisor *supervisor, const char *because)
{
	log_warn("machine %s: killing krun-vmm: %s", supervisor->machine->id, because);
	supervisor->killed_because = because;
	if (!supervisor->was_here)
		load_record(supervisor);
	if (supervisor->last.supervisor.pid != 0)
		supervisor->process = supervisor->last.supervisor;
	kill_processes(supervisor);
	settle_within(supervisor, DEADLINE_DEAD, SUPERVISOR_KILL_MS);
}

/* Processes that stay although the connection is gone: look again, then kill. */
static void on_end_deadline(struct supervisor *supervisor)
{
	if (!supervisor->has_ended && supervisor->reconnects < SUPERVISOR_RECONNECTS &&
	    proc_is_running(&supervisor->process)) {
		supervisor->reconnects++;
		free_watches(supervisor);
		supervisor->phase = PHASE_CONNECTING;
		if (connect_control(supervisor) >= 0)
			return;
	}
	kill_and_settle(supervisor, "its processes did not go by themselves");
}

static void on_deadline(uv_timer_t *timer)
{
	struct supervisor *supervisor = timer->data;

	switch (supervisor->deadline) {
	case DEADLINE_NONE:
		return;
	case DEADLINE_HELLO:
		kill_and_settle(supervisor, "it did not answer");
		return;
	case DEADLINE_STOP:
		supervisor_kill(supervisor);
		return;
	case DEADLINE_KILL:
		kill_and_settle(supervisor, "it could not end the machine");
		return;
	case DEADLINE_END:
		if (supervisor->phase == PHASE_SETTLING)
			on_end_deadline(supervisor);
		else
			settle(supervisor);
		return;
	case DEADLINE_DEAD:
		finish(supervisor);
		return;
	}
}

/* ---- the control connection ---- */

static void send_wishes(struct supervisor *supervisor)
{
	if (supervisor->link == NULL)
		return;
	/* These fit into a frame whatever they hold. */
	if (supervisor->kill_wanted)
		(void)!link_send(supervisor->link, WIRE_KILL, 0, NULL, NULL);
	else if (supervisor->stop_wanted)
		(void)!link_send(supervisor->link, WIRE_STOP, 0, &wire_shutdown_message,
				 &supervisor->stop);
}

static void on_hello(void *user, const struct wire_hello *hello)
{
	struct supervisor *supervisor = user;
	const struct machine *machine = supervisor->machine;

	if (hello->machine_id == NULL || strcmp(hello->machine_id, machine->id) != 0 ||
	    hello->generation != machine->generation) {
		log_warn("machine %s: its control socket answers for another start", machine->id);
		settle(supervisor);
	}
}

static int on_state(struct supervisor *supervisor, const struct wire_frame *frame)
{
	struct machine_record record, copy;
	struct err err = {0};
	bool live;

	machine_record_init(&record);
	machine_record_init(&copy);
	if (machine_record_parse(&record, (const char *)frame->payload, frame->length, &err) < 0 ||
	    machine_record_parse(&copy, (const char *)frame->payload, frame->length, &err) < 0) {
		log_warn("machine %s: krun-vmm's STATE: %s", supervisor->machine->id, err.text);
		machine_record_done(&record);
		return -EBADMSG;
	}
	live = machine_state_is_live(record.state);
	machine_record_done(&supervisor->last);
	supervisor->last = record;
	supervisor->was_here = true;
	if (supervisor->phase == PHASE_CONNECTING) {
		supervisor->phase = PHASE_FOLLOWING;
		set_deadline(supervisor, DEADLINE_NONE, 0);
		if (supervisor->kill_wanted)
			supervisor_kill(supervisor);
		else if (supervisor->stop_wanted)
			supervisor_stop(supervisor, (int)supervisor->stop.signal,
					supervisor->stop.timeout_ms);
	}
	if (!live) {
		/* Reported once its processes are gone. */
		supervisor->has_ended = true;
		set_deadline(supervisor, DEADLINE_END, SUPERVISOR_END_MS);
		machine_record_done(&copy);
		return 0;
	}
	if (machine_report(supervisor->machine, &copy) < 0)
		return -EBADMSG;
	end_adopting(supervisor->server, &supervisor->adopting);
	return 0;
}

static int on_warning(struct supervisor *supervisor, const struct wire_frame *frame)
{
	struct wire_sentence warning;

	if (wire_unpack(&wire_sentence_message, frame->payload, frame->length, &warning) < 0 ||
	    warning.text == NULL)
		return -EBADMSG;
	machine_warned(supervisor->machine, warning.text);
	return 0;
}

static int on_stats(struct supervisor *supervisor, const struct wire_frame *frame)
{
	struct wire_machine_stats stats;

	if (wire_unpack(&wire_machine_stats_message, frame->payload, frame->length, &stats) < 0)
		return -EBADMSG;
	stats_came(supervisor->machine, &stats);
	return 0;
}

static int on_frame(void *user, const struct wire_frame *frame)
{
	struct supervisor *supervisor = user;

	switch (frame->type) {
	case WIRE_STATE:
		return on_state(supervisor, frame);
	case WIRE_LOGGED:
		machine_logged(supervisor->machine);
		return 0;
	case WIRE_WARNING:
		return on_warning(supervisor, frame);
	case WIRE_MACHINE_STATS:
		return on_stats(supervisor, frame);
	default:
		return 0; /* of a later version */
	}
}

static void on_closed(void *user, int error)
{
	struct supervisor *supervisor = user;

	supervisor->link = NULL;
	log_debug("machine %s: control connection closed: %s", supervisor->machine->id,
		  error == 0 ? "end of file" : strerror(-error));
	settle(supervisor);
}

static int connect_control(struct supervisor *supervisor)
{
	static const struct link_calls calls = {.on_hello = on_hello,
						.on_frame = on_frame,
						.on_closed = on_closed};
	int r = link_new(supervisor->server, supervisor->control_path, WIRE_ROLE_MANAGER, &calls,
			 supervisor, &supervisor->link);

	if (r >= 0)
		set_deadline(supervisor, DEADLINE_HELLO, SUPERVISOR_HELLO_MS);
	return r;
}

void supervisor_adopt(struct machine *machine)
{
	struct supervisor *supervisor = supervisor_new(machine);

	supervisor->adopting = true;
	if (connect_control(supervisor) < 0)
		settle(supervisor);
}

void supervisor_stop(struct supervisor *supervisor, int signal, int64_t timeout_ms)
{
	supervisor->stop_wanted = true;
	supervisor->stop.signal = (uint32_t)signal;
	supervisor->stop.timeout_ms = (uint32_t)timeout_ms;
	if (supervisor->phase != PHASE_FOLLOWING || supervisor->has_ended)
		return; /* said as soon as it can be heard, or over anyway */
	send_wishes(supervisor);
	if (!supervisor->kill_wanted)
		set_deadline(supervisor, DEADLINE_STOP, timeout_ms + SUPERVISOR_STOP_GRACE_MS);
}

/* ---- the connection for the next session ---- */

static int on_kept_frame(void *user, const struct wire_frame *frame)
{
	return -EBADMSG;
}

static void on_kept_closed(void *user, int error)
{
	struct supervisor *supervisor = user;

	supervisor->kept = NULL;
}

void supervisor_keep_link(struct supervisor *supervisor, struct link *link)
{
	static const struct link_calls calls = {.on_frame = on_kept_frame,
						.on_closed = on_kept_closed};

	if (supervisor == NULL || supervisor->phase != PHASE_FOLLOWING ||
	    supervisor->kept != NULL || !link_is_quiet(link)) {
		link_free(link);
		return;
	}
	link_hand_over(link, &calls, supervisor);
	supervisor->kept = link;
}

struct link *supervisor_take_link(struct supervisor *supervisor)
{
	struct link *link = supervisor == NULL ? NULL : take_ptr(supervisor->kept);

	if (link != NULL && !link_is_quiet(link)) {
		link_free(link);
		return NULL;
	}
	return link;
}

int supervisor_signal(struct supervisor *supervisor, int signal)
{
	const struct wire_signal message = {.signal = (uint32_t)signal};

	if (supervisor->phase != PHASE_FOLLOWING || supervisor->link == NULL ||
	    supervisor->has_ended)
		return -ENOTCONN;
	return link_send(supervisor->link, WIRE_SIGNAL, 0, &wire_signal_message, &message);
}

int supervisor_ask_stats(struct supervisor *supervisor)
{
	if (supervisor->phase != PHASE_FOLLOWING || supervisor->link == NULL ||
	    supervisor->has_ended)
		return -ENOTCONN;
	return link_send(supervisor->link, WIRE_STATS_ASK, 0, NULL, NULL);
}

void supervisor_kill(struct supervisor *supervisor)
{
	supervisor->kill_wanted = true;
	if (supervisor->phase != PHASE_FOLLOWING || supervisor->has_ended)
		return;
	send_wishes(supervisor);
	set_deadline(supervisor, DEADLINE_KILL, SUPERVISOR_KILL_MS);
}

/* ---- spawning ---- */

static void on_child_exit(void *user, int status)
{
	struct supervisor *supervisor = user;

	supervisor->child = NULL;
	supervisor->child_ended = true;
	supervisor->child_status = status;
}

/* The configuration as a file without a name: krun-vmm may read it when it likes. */
static int write_config(struct server *server, const struct vmm_config *config, int *ret_fd,
			struct err *err)
{
	_cleanup_free_ char *path = path_join(server->tmp_dir, "config.XXXXXX");
	_cleanup_buf_ struct buf text;
	_cleanup_fd_ int fd = -1;
	struct jsonw w;
	int r;

	buf_init(&text, LIMIT_CONFIG_BYTES);
	jsonw_init(&w, &text);
	vmm_config_write(&w, config);
	r = jsonw_finish(&w);
	if (r < 0)
		return err_set(err, EDOM, "the configuration is larger than %lu bytes",
			       LIMIT_CONFIG_BYTES);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(err, errno, "cannot make '%s'", path);
	unlink(path);
	r = fd_write_all(fd, text.data, text.length);
	if (r < 0)
		return err_set_errno(err, -r, "cannot write the configuration for krun-vmm");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_set_errno(err, errno, "cannot read the configuration back");
	*ret_fd = take_fd(fd);
	return 0;
}

static int open_log(const struct vmm_config *config, int *ret_fd, struct err *err)
{
	_cleanup_free_ char *path = path_join(config->machine_dir, VMM_LOG);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set_errno(err, errno, "cannot open '%s'", path);
	*ret_fd = fd;
	return 0;
}

static int open_socket(const struct supervisor *supervisor, const struct vmm_config *config,
		       int *ret_fd, struct err *err)
{
	int r = file_remove_tree(config->run_dir);

	if (r >= 0)
		r = file_mkdir_all(config->run_dir, 0700);
	if (r >= 0)
		r = fd_unix_listen(supervisor->control_path, 0600, ret_fd);
	return r < 0 ? err_set_errno(err, -r, "cannot make the sockets in '%s'", config->run_dir)
		     : 0;
}

static int spawn(struct supervisor *supervisor, const struct vmm_config *config, struct err *err)
{
	struct server *server = supervisor->server;
	char *argv[] = {(char *)"krun-vmm", (char *)"--control-fd", (char *)"3", NULL};
	_cleanup_fd_ int config_fd = -1, log_fd = -1, control_fd = -1;
	struct spawn_fd fds[4];
	struct spawn spawn = {.path = server->settings->vmm_path,
			      .argv = argv,
			      .fds = fds,
			      .fd_count = ARRAY_SIZE(fds),
			      .new_session = true};
	pid_t pid;
	int r = write_config(server, config, &config_fd, err);

	if (r >= 0)
		r = open_log(config, &log_fd, err);
	if (r >= 0)
		r = open_socket(supervisor, config, &control_fd, err);
	if (r < 0)
		return r;
	fds[0] = (struct spawn_fd){config_fd, 0};
	fds[1] = (struct spawn_fd){log_fd, 1};
	fds[2] = (struct spawn_fd){log_fd, 2};
	fds[3] = (struct spawn_fd){control_fd, 3};
	r = spawn_program(&spawn, &pid, err);
	if (r < 0)
		return r;
	/* When it is gone already its zombie cannot be identified, nor need it be. */
	if (proc_identify(pid, &supervisor->process) < 0)
		supervisor->process.pid = 0;
	supervisor->child = child_watch(server, pid, on_child_exit, supervisor);
	return connect_control(supervisor);
}

int supervisor_spawn(struct machine *machine, const struct vmm_config *config, struct err *err)
{
	struct supervisor *supervisor = supervisor_new(machine);
	int r = spawn(supervisor, config, err);

	if (r < 0) {
		kill_processes(supervisor);
		supervisor_free(supervisor);
		file_remove_tree(config->run_dir);
	}
	return r;
}
