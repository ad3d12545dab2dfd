/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "machine/log_file.h"

#define DEADLINE_MS 30000

static const char *program(const char *variable)
{
	const char *path = getenv(variable);

	if (path == NULL)
		fail_msg("%s is not set", variable);
	return path;
}

char *rig_path(const struct rig *rig, const char *name)
{
	return path_join(rig->directory, name);
}

void rig_make(struct rig *rig)
{
	static const char *const names[] = {"m", "r", "image", "disk"};
	char directory[] = "/tmp/krun-test-XXXXXX";

	*rig = (struct rig){.listen_fd = -1};
	assert_non_null(mkdtemp(directory));
	rig->directory = mem_strdup(directory);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = rig_path(rig, names[i]);

		if (i < 2)
			assert_int_equal(mkdir(path, 0700), 0);
		else
			assert_int_equal(file_write_atomic(path, "", 0, 0600), 0);
	}
}

static void write_config(const struct rig *rig, const char *extra, const char *const *exec,
			 struct buf *out)
{
	struct buf words;
	struct jsonw w;

	buf_init(&words, 65536);
	jsonw_init(&w, &words);
	jsonw_array_begin(&w, NULL);
	for (; *exec != NULL; exec++)
		jsonw_string(&w, NULL, *exec);
	jsonw_array_end(&w);
	assert_int_equal(jsonw_finish(&w), 0);
	buf_init(out, LIMIT_CONFIG_BYTES);
	assert_int_equal(
		buf_printf(out,
			   "{\"id\": \"%s\", \"backend\": \"fake\", \"vminit_path\": \"%s\","
			   "\"machine_dir\": \"%s/m\", \"run_dir\": \"%s/r\","
			   "\"image_path\": \"%s/image\", \"disk_path\": \"%s/disk\","
			   "\"network\": {\"mode\": \"%s\"}, \"exec\": %s%s}",
			   RIG_ID, program("VMINIT_FAKE"), rig->directory, rig->directory,
			   rig->directory, rig->directory,
			   strstr(extra, "\"mac\"") != NULL ? "user" : "none", words.data, extra),
		0);
	buf_done(&words);
}

/* With RIG_LOG in the environment, what the supervisor says goes there. */
static int open_messages(void)
{
	const char *path = getenv("RIG_LOG");

	return open(path != NULL ? path : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
		    0600);
}

void rig_start(struct rig *rig, const char *extra, const char *const *exec)
{
	_cleanup_free_ char *socket_path = rig_path(rig, "r/ctl");
	char *argv[] = {(char[]){"krun-vmm"}, (char[]){"--control-fd"}, (char[]){"3"}, NULL};
	int input[2], messages = open_messages();
	struct buf config;

	write_config(rig, extra, exec, &config);
	assert_int_equal(fd_pipe(input), 0);
	assert_int_equal(fd_unix_listen(socket_path, 0600, &rig->listen_fd), 0);
	struct spawn_fd fds[] = {{input[0], 0}, {messages, 1}, {messages, 2}, {rig->listen_fd, 3}};
	struct spawn spawn = {
		.path = program("KRUN_VMM"),
		.argv = argv,
		.fds = fds,
		.fd_count = ARRAY_SIZE(fds),
	};
	assert_int_equal(spawn_program(&spawn, &rig->pid, NULL), 0);
	fd_close(input[0]);
	fd_close(messages);
	rig->listen_fd = fd_close(rig->listen_fd);
	assert_int_equal(fd_write_all(input[1], config.data, config.length), 0);
	fd_close(input[1]);
	buf_done(&config);
}

int rig_wait(struct rig *rig)
{
	int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;

	while (rig->pid > 0) {
		if (waitpid(rig->pid, &rig->status, WNOHANG) == rig->pid) {
			rig->pid = 0;
		} else if (clock_left_ms(deadline_ms) == 0) {
			fail_msg("the supervisor did not end");
		} else {
			poll(NULL, 0, 2);
		}
	}
	return rig->status;
}

void rig_done(struct rig *rig)
{
	if (rig->pid > 0) {
		kill(rig->pid, SIGKILL);
		waitpid(rig->pid, NULL, 0);
	}
	if (rig->directory != NULL)
		file_remove_tree(rig->directory);
	free(rig->directory);
	*rig = (struct rig){.listen_fd = -1};
}

void rig_connect(struct rig *rig, struct rig_connection *connection, enum wire_role role)
{
	_cleanup_free_ char *path = rig_path(rig, "r/ctl");
	struct wire_hello hello = {.version = WIRE_VERSION, .role = role}, answer;

	*connection = (struct rig_connection){.fd = -1};
	buf_init(&connection->in, WIRE_FRAME_BYTES_MAX);
	assert_int_equal(fd_unix_connect(path, &connection->fd), 0);
	rig_send(connection, WIRE_HELLO, 0, &wire_hello_message, &hello);
	assert_true(rig_next(connection));
	assert_int_equal(connection->frame.type, WIRE_HELLO);
	assert_int_equal(wire_unpack(&wire_hello_message, connection->frame.payload,
				     connection->frame.length, &answer),
			 0);
	assert_int_equal(answer.role, WIRE_ROLE_VMM);
	assert_string_equal(answer.machine_id, RIG_ID);
}

void rig_close(struct rig_connection *connection)
{
	connection->fd = fd_close(connection->fd);
	buf_done(&connection->in);
}

void rig_send(struct rig_connection *connection, enum wire_type type, uint8_t stream,
	      const struct wire_message *message, const void *from)
{
	static uint8_t frame[WIRE_FRAME_BYTES_MAX];
	long length = wire_pack(type, stream, message, from, frame, sizeof(frame));

	assert_true(length > 0);
	(void)!fd_write_all_until(connection->fd, frame, (size_t)length,
				  clock_monotonic_ms() + DEADLINE_MS);
}

void rig_send_data(struct rig_connection *connection, enum wire_type type, uint8_t stream,
		   const void *data, size_t length)
{
	uint8_t head[WIRE_HEAD_BYTES];

	wire_frame_head(head, type, stream, length);
	(void)!fd_write_all_until(connection->fd, head, sizeof(head),
				  clock_monotonic_ms() + DEADLINE_MS);
	if (length > 0)
		(void)!fd_write_all_until(connection->fd, data, length,
					  clock_monotonic_ms() + DEADLINE_MS);
}

bool rig_next(struct rig_connection *connection)
{
	buf_consume(&connection->in, connection->used);
	connection->used = 0;
	for (;;) {
		struct pollfd pollfd = {.fd = connection->fd, .events = POLLIN};
		char *tail;
		ssize_t n;
		int r = connection->in.length == 0
				? -EAGAIN
				: wire_frame_parse((uint8_t *)connection->in.data,
						   connection->in.length, &connection->frame,
						   &connection->used);

		if (r == 0)
			return true;
		assert_int_equal(r, -EAGAIN);
		if (poll(&pollfd, 1, DEADLINE_MS) <= 0)
			fail_msg("nothing came on the control socket");
		assert_int_equal(buf_reserve(&connection->in,
					     connection->in.bytes_max - connection->in.length,
					     &tail),
				 0);
		n = read(connection->fd, tail, connection->in.bytes_max - connection->in.length);
		if (n <= 0)
			return false;
		buf_commit(&connection->in, (size_t)n);
	}
}

void rig_await_state(struct rig_connection *connection, enum machine_state state,
		     struct machine_record *record)
{
	struct err err;

	machine_record_init(record);
	while (rig_next(connection)) {
		if (connection->frame.type != WIRE_STATE)
			continue;
		machine_record_done(record);
		if (machine_record_parse(record, (const char *)connection->frame.payload,
					 connection->frame.length, &err) < 0)
			fail_msg("%s", err.text);
		if (record->state == state)
			return;
		if (!machine_state_is_live(record->state))
			fail_msg("it is %s: %s", machine_state_name(record->state),
				 record->reason != NULL ? record->reason : "no reason");
	}
	fail_msg("the control socket closed before %s", machine_state_name(state));
}

void rig_load_exit(const struct rig *rig, struct machine_record *record)
{
	_cleanup_free_ char *directory = rig_path(rig, "m");
	struct err err;

	machine_record_init(record);
	if (machine_record_load(record, directory, MACHINE_EXIT_FILE, &err) < 0)
		fail_msg("%s", err.text);
}

static void read_file(const char *path, const char *stream, struct buf *out)
{
	struct log_record record;
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t allocated = 0;
	ssize_t n;

	if (file == NULL)
		return;
	while ((n = getline(&line, &allocated, file)) > 0) {
		assert_int_equal(line[n - 1], '\n');
		assert_int_equal(log_record_parse(line, (size_t)n - 1, &record), 0);
		if (strcmp(log_stream_name(record.stream), stream) != 0)
			continue;
		assert_int_equal(buf_append(out, record.text, record.length), 0);
		if (!record.partial)
			assert_int_equal(buf_append_char(out, '\n'), 0);
	}
	free(line);
	fclose(file);
}

void rig_read_log(const struct rig *rig, const char *stream, struct buf *out)
{
	buf_init(out, 64 * MIB);
	for (int number = 9; number >= 0; number--) {
		_cleanup_free_ char *name =
			number > 0 ? mem_printf("m/" LOG_DIRECTORY "/" LOG_FILE ".%d", number)
				   : mem_strdup("m/" LOG_DIRECTORY "/" LOG_FILE);
		_cleanup_free_ char *path = rig_path(rig, name);

		read_file(path, stream, out);
	}
	assert_int_equal(buf_append(out, "", 0), 0);
}

void rig_open(struct rig *rig, struct rig_connection *connection, const char *const *exec)
{
	rig_connect(rig, connection, WIRE_ROLE_SESSION);
	rig_open_again(connection, exec);
}

void rig_open_again(struct rig_connection *connection, const char *const *exec)
{
	struct wire_credit credit = {.bytes = LIMIT_WINDOW_BYTES};
	struct wire_open *open = mem_new(struct wire_open);

	for (size_t i = 0; exec[i] != NULL; i++)
		open->process.argv[i] = exec[i];
	open->process.env[0] = "PATH=/usr/bin:/bin";
	rig_send(connection, WIRE_OPEN, 0, &wire_open_message, open);
	rig_send(connection, WIRE_CREDIT, WIRE_STREAM_STDOUT, &wire_credit_message, &credit);
	rig_send(connection, WIRE_CREDIT, WIRE_STREAM_STDERR, &wire_credit_message, &credit);
	free(open);
}
