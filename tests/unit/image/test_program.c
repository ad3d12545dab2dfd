/* SPDX-License-Identifier: Apache-2.0 */
/* The program itself: what it leaves behind, what it says, what it may do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "maker.h"
#include "oci.h"
#include "run.h"
#include "sandbox.h"
#include "worker.h"

#define DEADLINE_MS 60000

static const char *program; /* argv[1] */

struct made {
	char directory[64];
	char *output;
	struct buf said; /* on standard output */
	int status;
};

static int set_up(void **state)
{
	struct made *m = test_calloc(1, sizeof(*m));

	strcpy(m->directory, "/tmp/krun-image-test-XXXXXX");
	assert_non_null(mkdtemp(m->directory));
	m->output = path_join(m->directory, "out.ext4");
	buf_init(&m->said, MIB);
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	struct made *m = *state;

	assert_int_equal(file_remove_tree(m->directory), 0);
	free(m->output);
	buf_done(&m->said);
	test_free(m);
	return 0;
}

static pid_t start(const char *const *argv, int in_fd, int out_fd)
{
	const struct spawn_fd fds[] = {{in_fd, STDIN_FILENO}, {out_fd, STDOUT_FILENO}};
	const struct spawn spawn = {
		.path = program,
		.argv = (char *const *)argv,
		.fds = fds,
		.fd_count = ARRAY_SIZE(fds),
	};
	struct err err = {0};
	pid_t pid;

	if (spawn_program(&spawn, &pid, &err) < 0)
		fail_msg("%s", err.text);
	return pid;
}

/* Runs it to its end; the exit status. */
static int run_program(struct made *m, const char *const *argv, int in_fd)
{
	_cleanup_fd_ int out_fd = maker_file(NULL);
	pid_t pid = start(argv, in_fd, out_fd);

	assert_int_equal(waitpid(pid, &m->status, 0), pid);
	assert_true(WIFEXITED(m->status));
	lseek(out_fd, 0, SEEK_SET);
	buf_clear(&m->said);
	assert_int_equal(fd_read_to_end(out_fd, &m->said), 0);
	return WEXITSTATUS(m->status);
}

static int run_import_program(struct made *m, const struct buf *archive)
{
	const char *argv[] = {"krun-image", "import", "--output", m->output, NULL};
	_cleanup_fd_ int fd = maker_file(archive);

	return run_program(m, argv, fd);
}

static void assert_said(struct made *m, const char *text)
{
	if (m->said.data == NULL || strstr(m->said.data, text) == NULL)
		fail_msg("no %s in %s", text, m->said.data);
}

static void assert_nothing_left(struct made *m)
{
	DIR *dir = opendir(m->directory);
	struct dirent *entry;
	char left[300] = "";

	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			strcpy(left, entry->d_name);
	}
	closedir(dir);
	assert_string_equal(left, "");
}

static void make_archive(struct buf *archive, size_t data_bytes)
{
	char *data = test_calloc(1, data_bytes + 1);
	struct maker_image image;
	struct buf tar;

	/* No two chunks are alike, none is a hole. */
	for (size_t i = 0; i < data_bytes; i++)
		data[i] = (char)(1 + (i * 2654435761U >> 13) % 255);
	maker_image_init(&image);
	image.architecture = oci_host_architecture();
	maker_init(&tar);
	MAKER_ADD(&tar, .path = "data", .data = data, .bytes = data_bytes);
	maker_end(&tar);
	maker_image_add(&image, &tar);
	maker_oci(archive, &image);
	maker_image_done(&image);
	test_free(data);
}

/* ---- disk ---- */

static void a_disk_is_sparse_and_sound(void **state)
{
	static const struct {
		const char *size_mib;
		off_t bytes, blocks_max;
	} cases[] = {
		{"16", 16 * MIB, 256 * KIB / 512},
		{"100", 100 * MIB, 256 * KIB / 512},
		{"129", 129 * MIB, 256 * KIB / 512},
		{"10240", 10240 * MIB, 1 * MIB / 512},
	};
	struct made *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *argv[] = {"krun-image", "disk",    "--size-mib", cases[i].size_mib,
				      "--output",   m->output, NULL};
		_cleanup_fd_ int fd = -1;
		_cleanup_free_ char *listing = NULL;
		struct stat st;

		assert_int_equal(run_program(m, argv, -1), 0);
		assert_said(m, "{\"event\":\"done\",\"size_bytes\":");
		assert_int_equal(stat(m->output, &st), 0);
		assert_int_equal(st.st_size, cases[i].bytes);
		assert_in_range(st.st_blocks, 1, cases[i].blocks_max);
		assert_int_equal(st.st_mode & 0777, 0600);
		fd = open(m->output, O_RDONLY | O_CLOEXEC);
		run_check(fd);
		listing = run_debugfs(fd, "ls -p /");
		assert_non_null(strstr(listing, "/040755/0/0/upper/"));
		assert_non_null(strstr(listing, "/040755/0/0/work/"));
		assert_int_equal(unlink(m->output), 0);
	}
}

static void a_disk_has_a_journal_and_an_identity_of_its_own(void **state)
{
	struct made *m = *state;
	const char *argv[] = {"krun-image", "disk", "--size-mib=64", "--output", m->output, NULL};
	char *headers[2];

	for (int i = 0; i < 2; i++) {
		_cleanup_fd_ int fd = -1;

		assert_int_equal(run_program(m, argv, -1), 0);
		fd = open(m->output, O_RDONLY | O_CLOEXEC);
		headers[i] = run_debugfs(fd, "show_super_stats -h");
		assert_non_null(strstr(headers[i], "has_journal"));
		assert_int_equal(unlink(m->output), 0);
	}
	assert_string_not_equal(strstr(headers[0], "Filesystem UUID"),
				strstr(headers[1], "Filesystem UUID"));
	free(headers[0]);
	free(headers[1]);
}

static void a_wrong_size_is_said_and_leaves_nothing(void **state)
{
	static const char *const sizes[] = {"15", "-1", "x", "", "99999999999999999999"};
	struct made *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const char *argv[] = {"krun-image", "disk",    "--size-mib", sizes[i],
				      "--output",   m->output, NULL};

		assert_int_equal(run_program(m, argv, -1), 1);
		assert_said(m, "\"code\":\"usage\"");
		assert_nothing_left(m);
	}
}

/* ---- boot ---- */

static void the_boot_disk_has_vminit_and_its_mount_points(void **state)
{
	struct made *m = *state;
	const char *argv[] = {"krun-image", "boot",    "--vminit", program,
			      "--output",   m->output, NULL};
	_cleanup_free_ char *listing = NULL;
	_cleanup_fd_ int fd = -1;

	assert_int_equal(run_program(m, argv, -1), 0);
	fd = open(m->output, O_RDONLY | O_CLOEXEC);
	run_check(fd);
	listing = run_debugfs(fd, "ls -p /");
	assert_non_null(strstr(listing, "/100755/0/0/vminit/"));
	assert_non_null(strstr(listing, "/040755/0/0/dev/"));
	assert_non_null(strstr(listing, "/040755/0/0/proc/"));
	assert_non_null(strstr(listing, "/040755/0/0/sys/"));
	assert_non_null(strstr(listing, "/040755/0/0/newroot/"));
}

static void what_is_no_program_does_not_boot(void **state)
{
	struct made *m = *state;
	const char *argv[] = {"krun-image", "boot",    "--vminit", "/dev/null",
			      "--output",   m->output, NULL};

	assert_int_equal(run_program(m, argv, -1), 1);
	assert_nothing_left(m);
}

/* ---- import ---- */

static void an_import_makes_the_file(void **state)
{
	struct made *m = *state;
	_cleanup_buf_ struct buf archive, small;
	_cleanup_fd_ int fd = -1;

	make_archive(&archive, 3 * MIB);
	assert_int_equal(run_import_program(m, &archive), 0);
	assert_said(m, "\"event\":\"done\"");
	fd = open(m->output, O_RDONLY | O_CLOEXEC);
	run_check(fd);
	/* A spool beside it is gone when all is done. */
	assert_int_equal(unlink(m->output), 0);
	maker_zstd(&small, &archive);
	assert_int_equal(run_import_program(m, &small), 0);
	assert_int_equal(unlink(m->output), 0);
	assert_nothing_left(m);
}

static void a_broken_archive_leaves_nothing(void **state)
{
	struct made *m = *state;
	_cleanup_buf_ struct buf archive;

	make_archive(&archive, 100);
	archive.data[archive.length / 2] ^= 1;
	archive.data[600] ^= 1;
	assert_int_equal(run_import_program(m, &archive), 1);
	assert_said(m, "{\"event\":\"error\",\"code\":\"");
	assert_nothing_left(m);
}

static void what_is_there_stays(void **state)
{
	struct made *m = *state;
	_cleanup_buf_ struct buf archive, kept;

	make_archive(&archive, 100);
	buf_init(&kept, 100);
	assert_int_equal(file_write_atomic(m->output, "mine", 4, 0600), 0);
	assert_int_equal(run_import_program(m, &archive), 1);
	assert_said(m, "\"code\":\"io_error\"");
	assert_int_equal(file_read(m->output, &kept), 0);
	assert_string_equal(kept.data, "mine");
}

static void an_archive_from_a_pipe_is_refused(void **state)
{
	struct made *m = *state;
	const char *argv[] = {"krun-image", "import", "--output", m->output, NULL};
	int fds[2];

	assert_int_equal(fd_pipe(fds), 0);
	assert_int_equal(run_program(m, argv, fds[0]), 1);
	assert_said(m, "\"code\":\"usage\"");
	fd_close(fds[0]);
	fd_close(fds[1]);
	assert_nothing_left(m);
}

/* A file that may not grow: what a full disk is to the program. */
static void a_full_disk_is_said_and_leaves_nothing(void **state)
{
	struct rlimit old, small = {.rlim_cur = 4 * MIB};
	struct made *m = *state;
	_cleanup_buf_ struct buf archive;
	_cleanup_fd_ int fd = -1;
	const char *argv[] = {"krun-image", "import", "--output", m->output, NULL};
	_cleanup_fd_ int out_fd = maker_file(NULL);
	pid_t pid;

	make_archive(&archive, 8 * MIB);
	fd = maker_file(&archive);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	pid = start(argv, fd, out_fd);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(waitpid(pid, &m->status, 0), pid);
	assert_int_equal(WEXITSTATUS(m->status), 1);
	lseek(out_fd, 0, SEEK_SET);
	assert_int_equal(fd_read_to_end(out_fd, &m->said), 0);
	assert_said(m, "\"code\":\"disk_full\"");
	assert_nothing_left(m);
}

/* Waits until the program has said so much that it is in the middle of its work. */
static void await_text(int fd, struct buf *said, const char *text)
{
	int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;

	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		char step[4096];
		ssize_t n;

		assert_int_equal(poll(&pfd, 1, clock_left_ms(deadline_ms)), 1);
		n = read(fd, step, sizeof(step));
		assert_true(n > 0);
		assert_int_equal(buf_append(said, step, (size_t)n), 0);
		if (strstr(said->data, text) != NULL)
			return;
	}
}

/*
 * The program must be at work when the signal comes: its events go into a pipe that is full until
 * the test reads it, so it cannot end before.
 */
static void stop_in_the_middle(struct made *m, int number)
{
	const char *argv[] = {"krun-image", "import", "--output", m->output, NULL};
	_cleanup_buf_ struct buf archive;
	_cleanup_fd_ int fd = -1;
	char filler[65536] = {0};
	int fds[2];
	pid_t pid;

	make_archive(&archive, 100);
	fd = maker_file(&archive);
	assert_int_equal(fd_pipe(fds), 0);
	assert_int_equal(fd_set_nonblock(fds[1], true), 0);
	memset(filler, '\n', sizeof(filler));
	while (write(fds[1], filler, sizeof(filler)) > 0)
		continue;
	while (write(fds[1], filler, 1) > 0)
		continue;
	/* The flag is the pipe's, so the program's too: it waits by poll. */
	pid = start(argv, fd, fds[1]);
	for (;;) {
		struct stat st;

		/* The file is there as soon as the work begins. */
		if (stat(m->output, &st) == 0)
			break;
		assert_int_equal(errno, ENOENT);
		poll(NULL, 0, 1);
	}
	assert_int_equal(kill(pid, number), 0);
	fds[1] = fd_close(fds[1]);
	buf_clear(&m->said);
	m->said.bytes_max = 4 * MIB;
	if (number != SIGKILL)
		await_text(fds[0], &m->said, "\"code\":\"cancelled\"");
	assert_int_equal(waitpid(pid, &m->status, 0), pid);
	/* Standard output is at its end: no worker is left behind. */
	while (read(fds[0], filler, sizeof(filler)) > 0)
		continue;
	fd_close(fds[0]);
}

static void a_stopped_import_leaves_nothing(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	struct made *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		stop_in_the_middle(m, signals[i]);
		assert_true(WIFEXITED(m->status));
		assert_int_equal(WEXITSTATUS(m->status), 1);
		assert_nothing_left(m);
	}
}

static void a_killed_import_takes_its_worker_along(void **state)
{
	struct made *m = *state;

	stop_in_the_middle(m, SIGKILL);
	assert_true(WIFSIGNALED(m->status));
}

/* ---- the worker and its sandbox, in this process's children ---- */

static int crash(void *context, int output_fd, struct fault *fault)
{
	signal(SIGABRT, SIG_DFL);
	raise(SIGKILL);
	return 0;
}

static void a_worker_that_crashes_leaves_nothing(void **state)
{
	struct made *m = *state;
	const struct worker worker = {.output_path = m->output, .work = crash};
	sigset_t old;

	/* worker_run() is the main() of a program and changes signals. */
	sigprocmask(SIG_SETMASK, NULL, &old);
	assert_int_equal(worker_run(&worker), 1);
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_nothing_left(m);
}

/* 0 when all that should be refused is; run in a child. */
static int try_everything(int open_fd)
{
	struct fault fault = {0};
	char byte;

	if (sandbox_enter(&fault) < 0)
		return 1;
	if (open("/etc/passwd", O_RDONLY) >= 0 || open("/tmp/x", O_RDWR | O_CREAT, 0600) >= 0)
		return 2;
	if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
		return 3;
	if (fork() >= 0)
		return 4;
	if (execl("/bin/true", "true", NULL) >= 0)
		return 5;
	if (unlink("/tmp/x") >= 0 || errno != EPERM)
		return 6;
	if (kill(getppid(), 0) >= 0)
		return 7;
	/* And what is needed works. */
	if (pwrite(open_fd, "x", 1, 0) != 1 || pread(open_fd, &byte, 1, 0) != 1 ||
	    ftruncate(open_fd, 100) < 0 || fsync(open_fd) < 0)
		return 8;
	return 0;
}

static void the_sandbox_holds(void **state)
{
	_cleanup_fd_ int fd = maker_file(NULL);
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(try_everything(fd));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_disk_is_sparse_and_sound),
		TEST(a_disk_has_a_journal_and_an_identity_of_its_own),
		TEST(a_wrong_size_is_said_and_leaves_nothing),
		TEST(the_boot_disk_has_vminit_and_its_mount_points),
		TEST(what_is_no_program_does_not_boot),
		TEST(an_import_makes_the_file),
		TEST(a_broken_archive_leaves_nothing),
		TEST(what_is_there_stays),
		TEST(an_archive_from_a_pipe_is_refused),
		TEST(a_full_disk_is_said_and_leaves_nothing),
		TEST(a_stopped_import_leaves_nothing),
		TEST(a_killed_import_takes_its_worker_along),
		TEST(a_worker_that_crashes_leaves_nothing),
		cmocka_unit_test(the_sandbox_holds),
	};

	if (argc != 2)
		return 2;
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
