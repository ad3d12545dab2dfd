/* SPDX-License-Identifier: Apache-2.0 */
/* Single files put in place for a guest, and the locks of named volumes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "disk_lock.h"
#include "share_file.h"

/* Of a child that goes on where the kernel allows no namespaces. */
#define STATUS_NO_NAMESPACE 77
#define ORDINARY_USER       65534

static const struct host host = {HOST_ARCH_X86_64, HOST_HYPERVISOR_NONE, {0}};

static char *directory;
static struct vmm_config config;
static struct plan plan;

static char *below(const char *name)
{
	return path_join(directory, name);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int set_up(void **state)
{
	static const char *const names[] = {"image", "disk", "one", "two"};
	char template[] = "/tmp/krun-test-XXXXXX";
	_cleanup_free_ char *machine = NULL;

	assert_non_null(mkdtemp(template));
	directory = mem_strdup(template);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = below(names[i]);

		write_file(path, names[i]);
	}
	machine = below("machine");
	assert_int_equal(mkdir(machine, 0700), 0);
	vmm_config_init(&config);
	config.machine_dir = take_ptr(machine);
	config.image_path = below("image");
	config.disk_path = below("disk");
	config.network.mode = MACHINE_NETWORK_NONE;
	return 0;
}

static int tear_down(void **state)
{
	plan_done(&plan);
	vmm_config_done(&config);
	assert_int_equal(file_remove_tree(directory), 0);
	free(directory);
	return 0;
}

/* Adds a volume and makes the plan anew. */
static void add_volume(const char *path, const char *name, bool read_only)
{
	struct machine_volumes *volumes = &config.volumes;
	struct err err;

	volumes->items =
		mem_realloc_array(volumes->items, volumes->count + 1, sizeof(*volumes->items));
	volumes->items[volumes->count++] = (struct machine_volume){
		.host_path = mem_strdup(path),
		.volume = mem_strdup_or_null(name),
		.guest_path = mem_strdup("/data"),
		.read_only = read_only,
	};
	plan_done(&plan);
	if (plan_make(&plan, &config, &host, &err) < 0)
		fail_msg("%s", err.text);
}

static char *read_text(const char *path)
{
	struct buf text;

	buf_init(&text, 4096);
	if (file_read(path, &text) < 0)
		return mem_strdup("");
	return buf_take_string(&text);
}

/* What a guest would find in the n-th share: one name, the file. */
static char *shared(size_t n)
{
	DIR *dir = opendir(plan.shares[n].path);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			assert_string_equal(entry->d_name, PLAN_FILE_NAME);
	}
	closedir(dir);
	return path_join(plan.shares[n].path, PLAN_FILE_NAME);
}

static void a_file_is_there_without_its_neighbours(void **state)
{
	_cleanup_free_ char *one = below("one"), *file = NULL, *text = NULL, *more = NULL;

	add_volume(one, NULL, false);
	assert_int_equal(share_files_place(&plan, NULL), 0);
	file = shared(0);
	text = read_text(file);
	assert_string_equal(text, "one");
	/* Both ways. */
	write_file(one, "from the host");
	more = read_text(file);
	assert_string_equal(more, "from the host");
	write_file(file, "from the guest");
	free(text);
	text = read_text(one);
	assert_string_equal(text, "from the guest");
}

static void what_is_left_is_taken_away(void **state)
{
	_cleanup_free_ char *one = below("one"), *two = below("two"), *file = NULL, *text = NULL;
	struct stat st;

	add_volume(one, NULL, false);
	assert_int_equal(share_files_place(&plan, NULL), 0);
	/* A supervisor that was killed removed nothing, and a guest may have made files there. */
	file = path_join(plan.shares[0].path, "more");
	write_file(file, "");
	add_volume(two, NULL, true);
	assert_int_equal(share_files_place(&plan, NULL), 0);
	free(shared(0));
	free(shared(1));
	share_files_remove(&plan);
	assert_int_equal(access(plan.shares[0].path, F_OK), -1);
	assert_int_equal(stat(one, &st), 0);
	assert_int_equal(st.st_nlink, 1);
	text = read_text(two);
	assert_string_equal(text, "two");
}

static void a_name_that_became_a_symlink_is_not_followed(void **state)
{
	_cleanup_free_ char *one = below("one"), *two = below("two");
	struct err err;
	pid_t pid;
	int status;

	add_volume(one, NULL, false);
	assert_int_equal(unlink(one), 0);
	assert_int_equal(symlink(two, one), 0);
	/* It may have left for a namespace of its own before it saw. */
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(share_files_place(&plan, &err) < 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* In a child: nothing here may fail by cmocka's means. */
static int place_on_another_file_system(uid_t uid, const char *source)
{
	_cleanup_free_ char *file = NULL, *text = NULL;
	struct err err = {0};
	int fd;

	/* Whoever changes its user by hand must say that its /proc belongs to that one. */
	if (uid != geteuid() &&
	    (setgid(uid) < 0 || setuid(uid) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0))
		return 1;
	if (share_files_place(&plan, &err) < 0) {
		if (strstr(err.text, source) == NULL || strstr(err.text, "namespace") == NULL)
			return 2;
		return STATUS_NO_NAMESPACE;
	}
	file = path_join(plan.shares[0].path, PLAN_FILE_NAME);
	text = read_text(file);
	if (strcmp(text, "elsewhere") != 0)
		return 3;
	fd = open(file, O_WRONLY | O_APPEND);
	if (fd < 0 || write(fd, ", written", 9) != 9)
		return 4;
	close(fd);
	free(file);
	file = path_join(plan.shares[1].path, PLAN_FILE_NAME);
	if (open(file, O_WRONLY) >= 0 || errno != EROFS)
		return 5;
	/* Nothing of what an ordinary user may do in a namespace is left to it. */
	return uid == 0 || chroot(directory) < 0 ? 0 : 6;
}

static void bind(uid_t uid)
{
	char source[] = "/dev/shm/krun-test-XXXXXX";
	_cleanup_free_ char *text = NULL, *file = NULL;
	struct stat here, there;
	pid_t pid;
	int fd, status;

	if (stat(directory, &here) < 0 || stat("/dev/shm", &there) < 0 ||
	    here.st_dev == there.st_dev)
		skip();
	fd = mkstemp(source);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "elsewhere", 9), 9);
	add_volume(source, NULL, false);
	add_volume(source, NULL, true);
	if (uid != geteuid()) {
		assert_int_equal(fchown(fd, uid, uid), 0);
		assert_int_equal(chown(directory, uid, uid), 0);
		assert_int_equal(chown(config.machine_dir, uid, uid), 0);
	}
	close(fd);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(place_on_another_file_system(uid, source));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	text = read_text(source);
	assert_int_equal(unlink(source), 0);
	if (WEXITSTATUS(status) == STATUS_NO_NAMESPACE)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_string_equal(text, "elsewhere, written");
	/* Here nothing is mounted. */
	file = path_join(plan.shares[0].path, PLAN_FILE_NAME);
	assert_int_equal(stat(file, &here), 0);
	assert_int_equal(here.st_size, 0);
	share_files_remove(&plan);
	assert_int_equal(access(plan.shares[0].path, F_OK), -1);
}

static void a_file_on_another_file_system_is_mounted(void **state)
{
	bind(geteuid());
}

static void an_ordinary_user_mounts_it_too(void **state)
{
	if (geteuid() != 0)
		skip();
	bind(ORDINARY_USER);
}

/* Status of a child that locks the plan's volumes. */
static int lock_in_child(struct err *err)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		int r = disk_lock_all(&plan, err);

		_exit(r == -EBUSY && strstr(err->text, "volume data is in use") != NULL ? 2 : r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* A child has the volume; what another one gets meanwhile. */
static void hold_volume(bool read_only, int status_wanted)
{
	_cleanup_free_ char *one = below("one"), *two = below("two");
	struct err err;
	int hold[2];
	char word;
	pid_t pid;

	add_volume(two, NULL, false);
	add_volume(one, "data", read_only);
	assert_int_equal(lock_in_child(&err), 0);
	assert_int_equal(pipe(hold), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (disk_lock_all(&plan, NULL) < 0)
			_exit(1);
		(void)!write(hold[1], "x", 1);
		/* Past an exec too. */
		execl("/bin/sleep", "sleep", "1000", NULL);
		_exit(1);
	}
	assert_int_equal(read(hold[0], &word, 1), 1);
	assert_int_equal(lock_in_child(&err), status_wanted);
	kill(pid, SIGKILL);
	/* Not reaped yet: whoever comes now waits for its end. */
	assert_int_equal(lock_in_child(&err), 0);
	waitpid(pid, NULL, 0);
	close(hold[0]);
	close(hold[1]);
}

static void a_named_volume_belongs_to_one_at_a_time(void **state)
{
	hold_volume(false, 2);
}

static void those_who_only_read_a_volume_share_it(void **state)
{
	hold_volume(true, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_file_is_there_without_its_neighbours),
		CASE(what_is_left_is_taken_away),
		CASE(a_name_that_became_a_symlink_is_not_followed),
		CASE(a_file_on_another_file_system_is_mounted),
		CASE(an_ordinary_user_mounts_it_too),
		CASE(a_named_volume_belongs_to_one_at_a_time),
		CASE(those_who_only_read_a_volume_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
