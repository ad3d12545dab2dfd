/* SPDX-License-Identifier: Apache-2.0 */
/* What a process can no longer do once it is in the sandbox. Each try has a process of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rand.h"
#include "sandbox.h"

#define CANNOT_ENTER 99

/* Runs the try in the sandbox; its wait status. The try returns an exit status. */
static int in_sandbox(int (*try)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct err err = {0};
		int r = sandbox_enter(&err);

		_exit(r < 0 && r != -ENOSYS ? CANNOT_ENTER : try());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_exits(int (*try)(void), int code)
{
	int status = in_sandbox(try);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

static int open_file(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0;
}

static int create_file(void)
{
	return open("/tmp/krun-net-sandbox-test", O_CREAT | O_WRONLY, 0600) >= 0;
}

static int open_device(void)
{
	return open("/dev/null", O_RDWR) >= 0;
}

static int look_at_file(void)
{
	struct stat st;

	return stat("/", &st) == 0 || access("/", F_OK) == 0;
}

static int make_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid > 0;
}

static int make_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static int make_raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0 ||
	       socket(AF_PACKET, SOCK_RAW, 0) >= 0 || socket(AF_NETLINK, SOCK_RAW, 0) >= 0;
}

static int listen_anew(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ||
	       listen(fd, 1) == 0;
}

static int map_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0)
		return 2;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	       MAP_FAILED;
}

static int signal_parent(void)
{
	return kill(getppid(), 0) == 0;
}

static int run_program(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

/* What the loop and libslirp do must still work. */
static int work(void)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM,
				    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC};
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(9),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct pollfd wait = {.fd = -1};
	uint8_t bytes[16];
	void *memory, *more;

	for (size_t i = 0; i < 3; i++) {
		int fd = socket(AF_INET, types[i], 0), one = 1;

		if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
		    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
			return 1;
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		    errno != EINPROGRESS && errno != ECONNREFUSED)
			return 2;
		close(fd);
	}
	if (socket(AF_INET6, SOCK_DGRAM, 0) < 0 && errno != EAFNOSUPPORT)
		return 3;
	if (poll(&wait, 1, 0) != 0 || clock_monotonic_ms() <= 0)
		return 4;
	rand_bytes(bytes, sizeof(bytes));
	memory = malloc(8 << 20);
	more = memory != NULL ? realloc(memory, 16 << 20) : NULL;
	if (more == NULL)
		return 5;
	free(more);
	return 0;
}

static void the_work_can_be_done(void **state)
{
	assert_exits(work, 0);
}

static void files_are_out_of_reach(void **state)
{
	assert_exits(open_file, 0);
	assert_exits(create_file, 0);
	assert_exits(open_device, 0);
	assert_exits(look_at_file, 0);
}

static void other_sockets_cannot_be_made(void **state)
{
	assert_exits(make_unix_socket, 0);
	assert_exits(make_raw_socket, 0);
	assert_exits(listen_anew, 0);
}

static void other_processes_are_out_of_reach(void **state)
{
	int status;

	status = in_sandbox(make_process);
	assert_true(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGSYS);
	assert_exits(signal_parent, 0);
	status = in_sandbox(run_program);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void no_memory_becomes_code(void **state)
{
	assert_exits(map_code, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_work_can_be_done),
		cmocka_unit_test(files_are_out_of_reach),
		cmocka_unit_test(other_sockets_cannot_be_made),
		cmocka_unit_test(other_processes_are_out_of_reach),
		cmocka_unit_test(no_memory_becomes_code),
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
