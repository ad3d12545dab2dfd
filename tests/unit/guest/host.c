/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 20000

static void wait_for(int fd, short events)
{
	struct pollfd item = {.fd = fd, .events = events};
	int r;

	do {
		r = poll(&item, 1, DEADLINE_MS);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		fail_msg("nothing came from the guest within %d ms", DEADLINE_MS);
}

bool peer_next(struct peer *peer, struct wire_frame *ret_frame)
{
	for (;;) {
		size_t used;
		ssize_t n;
		int r = wire_frame_parse(peer->in + peer->start, peer->end - peer->start, ret_frame,
					 &used);

		if (r == 0) {
			peer->start += used;
			return true;
		}
		assert_int_equal(r, -EAGAIN);
		memmove(peer->in, peer->in + peer->start, peer->end - peer->start);
		peer->end -= peer->start;
		peer->start = 0;
		wait_for(peer->fd, POLLIN);
		n = read(peer->fd, peer->in + peer->end, sizeof(peer->in) - peer->end);
		if (n == 0 || (n < 0 && errno == ECONNRESET)) {
			assert_int_equal(peer->end, 0); /* whole frames only */
			return false;
		}
		assert_true(n > 0);
		peer->end += (size_t)n;
	}
}

void peer_expect(struct peer *peer, enum wire_type type, struct wire_frame *ret_frame)
{
	do {
		if (!peer_next(peer, ret_frame))
			fail_msg("end of file in place of a frame of type 0x%02x", type);
	} while (ret_frame->type != type);
}

static void write_all(int fd, const uint8_t *data, size_t length)
{
	while (length > 0) {
		ssize_t n;

		wait_for(fd, POLLOUT);
		n = send(fd, data, length, MSG_NOSIGNAL);
		assert_true(n > 0);
		data += n;
		length -= (size_t)n;
	}
}

void peer_send(struct peer *peer, enum wire_type type, uint8_t stream,
	       const struct wire_message *message, const void *from)
{
	static uint8_t frame[WIRE_FRAME_BYTES_MAX];
	long length = wire_pack(type, stream, message, from, frame, sizeof(frame));

	assert_true(length > 0);
	write_all(peer->fd, frame, (size_t)length);
}

void peer_send_data(struct peer *peer, enum wire_type type, uint8_t stream, const void *data,
		    size_t length)
{
	uint8_t head[WIRE_HEAD_BYTES];

	wire_frame_head(head, type, stream, length);
	write_all(peer->fd, head, sizeof(head));
	write_all(peer->fd, data, length);
}

void peer_credit(struct peer *peer, uint8_t stream, uint32_t bytes)
{
	struct wire_credit credit = {.bytes = bytes};

	peer_send(peer, WIRE_CREDIT, stream, &wire_credit_message, &credit);
}

void peer_close(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
}

static void listen_for_sessions(struct host *host)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(host->directory, "/tmp/vminit-fake-XXXXXX");
	assert_non_null(mkdtemp(host->directory));
	snprintf(host->session_path, sizeof(host->session_path), "%s/s", host->directory);
	strcpy(address.sun_path, host->session_path);
	host->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(host->listener >= 0);
	assert_return_code(bind(host->listener, (struct sockaddr *)&address, sizeof(address)),
			   errno);
	assert_return_code(listen(host->listener, 64), errno);
}

static void expect_hello(struct peer *peer, uint32_t role, uint32_t session)
{
	struct wire_frame frame;
	struct wire_hello hello;

	assert_true(peer_next(peer, &frame));
	assert_int_equal(frame.type, WIRE_HELLO);
	assert_int_equal(wire_unpack(&wire_hello_message, frame.payload, frame.length, &hello), 0);
	assert_int_equal(hello.version, WIRE_VERSION);
	assert_int_equal(hello.role, role);
	assert_int_equal(hello.session, session);
}

void host_start(struct host *host)
{
	const char *program = getenv("VMINIT_FAKE");
	int fds[2];

	assert_non_null(program);
	memset(host, 0, sizeof(*host));
	listen_for_sessions(host);
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), errno);
	host->control.fd = fds[0];
	host->pid = fork();
	assert_true(host->pid >= 0);
	if (host->pid == 0) {
		dup2(fds[1], 3);
		if (fds[1] == 3)
			fcntl(3, F_SETFD, 0);
		execl(program, "vminit-fake", "--control-fd", "3", "--session-path",
		      host->session_path, (char *)NULL);
		_exit(99);
	}
	close(fds[1]);
	expect_hello(&host->control, WIRE_ROLE_GUEST, 0);
}

void host_configure(struct host *host, const struct wire_process *process)
{
	struct wire_hello hello = {
		.version = WIRE_VERSION,
		.role = WIRE_ROLE_VMM,
		.machine_id = "m",
		.generation = 1,
	};
	static struct wire_config config;

	config = (struct wire_config){.root_kind = WIRE_ROOT_HOST, .process = *process};
	peer_send(&host->control, WIRE_HELLO, 0, &wire_hello_message, &hello);
	peer_send(&host->control, WIRE_CONFIG, 0, &wire_config_message, &config);
}

void host_run(struct host *host, const char *script)
{
	struct wire_process process = {.argv = {"sh", "-c", script}};
	struct wire_frame frame;

	host_start(host);
	host_configure(host, &process);
	/* The first frame of all: no output comes before it. */
	assert_true(peer_next(&host->control, &frame));
	assert_int_equal(frame.type, WIRE_READY);
}

void host_shutdown(struct host *host, uint32_t signal, uint32_t timeout_ms)
{
	struct wire_shutdown shutdown = {.signal = signal, .timeout_ms = timeout_ms};

	peer_send(&host->control, WIRE_SHUTDOWN, 0, &wire_shutdown_message, &shutdown);
}

static void keep(char *to, size_t size, size_t *total, const uint8_t *data, size_t length)
{
	if (*total < size - 1) {
		size_t fits = length < size - 1 - *total ? length : size - 1 - *total;

		memcpy(to + *total, data, fits);
		to[*total + fits] = '\0';
	}
	*total += length;
}

struct wire_exited host_read_output(struct host *host, char *ret_stdout, size_t size,
				    size_t *ret_total)
{
	struct wire_exited exited;
	struct wire_frame frame;
	size_t total = 0;

	ret_stdout[0] = '\0';
	for (;;) {
		assert_true(peer_next(&host->control, &frame));
		if (frame.type == WIRE_OUTPUT && frame.stream == WIRE_STREAM_STDOUT) {
			assert_true(frame.length > 8);
			assert_true(wire_get_u64(frame.payload) > 0);
			keep(ret_stdout, size, &total, frame.payload + 8, frame.length - 8);
		}
		if (frame.type == WIRE_EXITED)
			break;
	}
	assert_int_equal(wire_unpack(&wire_exited_message, frame.payload, frame.length, &exited),
			 0);
	if (ret_total != NULL)
		*ret_total = total;
	return exited;
}

struct wire_exited host_read_exited(struct host *host)
{
	char output[16];

	return host_read_output(host, output, sizeof(output), NULL);
}

void host_open(struct host *host, const struct wire_open *open, struct peer *ret_session)
{
	memset(ret_session, 0, sizeof(*ret_session));
	peer_send(&host->control, WIRE_OPEN, 0, &wire_open_message, open);
	wait_for(host->listener, POLLIN);
	ret_session->fd = accept4(host->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ret_session->fd >= 0);
	expect_hello(ret_session, WIRE_ROLE_SESSION, open->session);
}

void host_open_again(struct peer *session, const struct wire_open *open)
{
	peer_send(session, WIRE_OPEN, 0, &wire_open_message, open);
	expect_hello(session, WIRE_ROLE_SESSION, open->session);
}

void host_open_shell(struct host *host, uint32_t id, const char *script, struct peer *ret_session)
{
	struct wire_open open = {.session = id, .process = {.argv = {"sh", "-c", script}}};

	host_open(host, &open, ret_session);
}

int host_finish(struct host *host)
{
	struct wire_frame frame;
	int status;

	while (peer_next(&host->control, &frame))
		;
	peer_close(&host->control);
	assert_int_equal(waitpid(host->pid, &status, 0), host->pid);
	close(host->listener);
	unlink(host->session_path);
	rmdir(host->directory);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void host_wait_gone(pid_t pid)
{
	/* Nothing tells that a process which is not a child is gone. */
	for (int left_ms = DEADLINE_MS; kill(pid, 0) == 0; left_ms -= 5) {
		if (left_ms <= 0)
			fail_msg("process %d is still there", pid);
		usleep(5000);
	}
}

struct wire_exited session_read(struct peer *session, char *ret_stdout, size_t size,
				size_t *ret_total)
{
	struct wire_exited exited;
	struct wire_frame frame;
	size_t total = 0, allowed = LIMIT_WINDOW_BYTES;

	ret_stdout[0] = '\0';
	peer_credit(session, WIRE_STREAM_STDOUT, LIMIT_WINDOW_BYTES);
	peer_credit(session, WIRE_STREAM_STDERR, LIMIT_WINDOW_BYTES);
	for (;;) {
		assert_true(peer_next(session, &frame));
		if (frame.type == WIRE_STDOUT) {
			assert_true(frame.length <= allowed);
			keep(ret_stdout, size, &total, frame.payload, frame.length);
			peer_credit(session, WIRE_STREAM_STDOUT, (uint32_t)frame.length);
		}
		if (frame.type == WIRE_EXIT)
			break;
	}
	assert_int_equal(wire_unpack(&wire_exited_message, frame.payload, frame.length, &exited),
			 0);
	peer_send_data(session, WIRE_END, WIRE_STREAM_ALL, "", 0);
	assert_false(peer_next(session, &frame));
	peer_close(session);
	if (ret_total != NULL)
		*ret_total = total;
	return exited;
}

uint32_t session_read_fail(struct peer *session, char *ret_text, size_t size)
{
	struct wire_frame frame;
	struct wire_fail fail;

	peer_expect(session, WIRE_FAIL, &frame);
	assert_int_equal(wire_unpack(&wire_fail_message, frame.payload, frame.length, &fail), 0);
	snprintf(ret_text, size, "%s", fail.text);
	peer_send_data(session, WIRE_END, WIRE_STREAM_ALL, "", 0);
	assert_false(peer_next(session, &frame));
	peer_close(session);
	return fail.code;
}
