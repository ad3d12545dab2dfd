/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/proc.h"
#include "base/sorted.h"
#include "base/spawn.h"
#include "base/strv.h"

/* A directory of each test's own, gone after it. */
static int make_directory(void **state)
{
	char path[] = "/tmp/krun-base-XXXXXX";

	if (mkdtemp(path) == NULL)
		return -1;
	*state = mem_strdup(path);
	return 0;
}

static int remove_directory(void **state)
{
	int r = file_remove_tree(*state);

	free(*state);
	return r;
}

static void err_prefix_puts_context_in_front(void **state)
{
	struct err err = {0};

	assert_int_equal(err_set(&err, ENOENT, "no file '%s'", "x"), -ENOENT);
	assert_int_equal(err_prefix(&err, "reading"), -ENOENT);
	assert_string_equal(err.text, "reading: no file 'x'");
}

static void err_text_is_cut_not_overrun(void **state)
{
	struct err err = {0};
	char text[3000];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	err_set(&err, EINVAL, "%s", text);
	err_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.text), ERR_TEXT_BYTES_MAX - 1);
}

static void buf_refuses_what_passes_its_maximum(void **state)
{
	_cleanup_buf_ struct buf buf;

	buf_init(&buf, 4);
	assert_int_equal(buf_append(&buf, "abcd", 4), 0);
	assert_int_equal(buf_append(&buf, "e", 1), -ENOBUFS);
	assert_string_equal(buf.data, "abcd");
	buf_consume(&buf, 3);
	assert_string_equal(buf.data, "d");
	assert_int_equal(buf_printf(&buf, "%d", 12), 0);
	assert_int_equal(buf_printf(&buf, "%d", 34), -ENOBUFS);
	assert_string_equal(buf.data, "d12");
}

static void buf_grows_byte_by_byte(void **state)
{
	_cleanup_buf_ struct buf buf;

	buf_init(&buf, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf_append_char(&buf, 'x'), 0);
	assert_int_equal(buf.length, 100000);
}

static void clock_times_survive_the_round_trip(void **state)
{
	char text[CLOCK_RFC3339_BYTES];
	int64_t ns;

	clock_format_rfc3339(1763842281123456789, text);
	assert_string_equal(text, "2025-11-22T20:11:21.123456789Z");
	assert_int_equal(clock_parse(text, &ns), 0);
	assert_true(ns == 1763842281123456789);
	assert_int_equal(clock_parse("2025-11-22T21:11:21+01:00", &ns), 0);
	assert_true(ns == 1763842281000000000);
	assert_int_equal(clock_parse("1763842281.5", &ns), 0);
	assert_true(ns == 1763842281500000000);
}

static void clock_refuses_what_is_no_time(void **state)
{
	static const char *const wrong[] = {
		"",
		"now",
		"2025-13-01T00:00:00Z",
		"2025-11-22",
		"2025-11-22T20:11:21",
		"2025-11-22T20:11:21Zx",
		"99999999999999999999",
		"12:00",
		"-5",
		"1969-01-01T00:00:00Z",
		"2025-11-22T20:11:21.Z",
		"2025-11-22T20:11:21+1:00",
	};
	int64_t ns;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (clock_parse(wrong[i], &ns) != -EINVAL)
			fail_msg("taken for a time: '%s'", wrong[i]);
	}
}

struct sample {
	char *name;
	long long count;
	bool on;
	char **list, **map;
};

static const struct json_field sample_fields[] = {
	{"name", JSON_WANT_STRING, offsetof(struct sample, name), .required = true},
	{"count", JSON_WANT_INT, offsetof(struct sample, count), .min = 1, .max = 9},
	{"on", JSON_WANT_BOOL, offsetof(struct sample, on)},
	{"list", JSON_WANT_STRINGS, offsetof(struct sample, list), .max = 2},
	{"map", JSON_WANT_MAP, offsetof(struct sample, map)},
	JSON_FIELD_END,
};

static int read_sample(const char *text, struct sample *sample, struct err *err)
{
	_cleanup_json_ json_t *value = NULL;
	int r;

	*sample = (struct sample){0};
	r = json_parse(text, strlen(text), &value, err);
	return r < 0 ? r : json_read(value, "", sample_fields, sample, err);
}

static void sample_done(struct sample *sample)
{
	free(sample->name);
	strv_free(sample->list);
	strv_free(sample->map);
}

static void json_reads_every_type(void **state)
{
	struct sample sample;

	assert_int_equal(read_sample("{\"name\":\"n\",\"count\":3,\"on\":true,\"list\":[\"a\"],"
				     "\"map\":{\"K\":\"v=w\"}}",
				     &sample, NULL),
			 0);
	assert_string_equal(sample.name, "n");
	assert_int_equal(sample.count, 3);
	assert_true(sample.on);
	assert_string_equal(sample.list[0], "a");
	assert_string_equal(sample.map[0], "K=v=w");
	sample_done(&sample);
}

static void json_refuses_by_name(void **state)
{
	static const struct {
		const char *text, *sentence;
		int errnum;
	} cases[] = {
		{"{}", "name is missing", EINVAL},
		{"{\"name\":null}", "name is missing", EINVAL},
		{"{\"name\":1}", "name must be a string", EINVAL},
		{"{\"name\":\"a\",\"x\":1}", "unknown field 'x'", EINVAL},
		{"{\"name\":\"a\",\"count\":10}", "count must be between 1 and 9, not 10", EDOM},
		{"{\"name\":\"a\",\"count\":1.5}", "count must be a whole number", EINVAL},
		{"{\"name\":\"a\",\"list\":[1]}", "list[0] must be a string", EINVAL},
		{"{\"name\":\"a\",\"list\":[\"\",\"\",\"\"]}", "list may have at most 2 items",
		 EDOM},
		{"{\"name\":\"a\",\"map\":{\"\":\"x\"}}", "map: the name", EINVAL},
		{"{\"name\":\"a\",\"name\":\"b\"}", "duplicate", EINVAL},
		{"{\"name\":\"a\"}}", "line 1", EINVAL},
		{"{\"name\":\"\\u0000\"}", "line 1", EINVAL},
		{"{\"name\":\"\xff\"}", "line 1", EINVAL},
		{"[]", "the body must be an object", EINVAL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sample sample;
		struct err err = {0};

		assert_int_equal(read_sample(cases[i].text, &sample, &err), -cases[i].errnum);
		if (strstr(err.text, cases[i].sentence) == NULL)
			fail_msg("'%s' gave '%s'", cases[i].text, err.text);
		sample_done(&sample);
	}
}

static void jsonw_writes_valid_json_whatever_the_bytes(void **state)
{
	_cleanup_buf_ struct buf out;
	_cleanup_json_ json_t *value = NULL;
	struct jsonw w;
	char all[256];

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	buf_init(&out, 65536);
	jsonw_init(&w, &out);
	jsonw_object_begin(&w, NULL);
	jsonw_string_bytes(&w, "all", all, sizeof(all));
	jsonw_string_bytes(&w, "nothing", NULL, 0); /* of a buffer that never held anything */
	jsonw_string(&w, "utf8", "\xc3\xa4 \xf0\x9f\x98\x80 \xed\xa0\x80 \xc0\xaf");
	jsonw_array_begin(&w, "array");
	jsonw_int(&w, NULL, INT64_MIN);
	jsonw_bool(&w, NULL, false);
	jsonw_null(&w, NULL);
	jsonw_array_end(&w);
	jsonw_array_begin(&w, "empty");
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	assert_int_equal(jsonw_finish(&w), 0);
	assert_int_equal(json_loadb(out.data, out.length, 0, NULL) == NULL, 1);
	/* NUL is written as \u0000, which only JSON_ALLOW_NUL takes. */
	value = json_loadb(out.data, out.length, JSON_ALLOW_NUL, NULL);
	assert_non_null(value);
	assert_string_equal(json_string_value(json_object_get(value, "utf8")),
			    "\xc3\xa4 \xf0\x9f\x98\x80 \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
			    "\xef\xbf\xbd\xef\xbf\xbd");
}

static void jsonw_overflow_sticks(void **state)
{
	_cleanup_buf_ struct buf out;
	struct jsonw w;

	buf_init(&out, 8);
	jsonw_init(&w, &out);
	jsonw_string(&w, NULL, "123456789");
	assert_int_equal(jsonw_finish(&w), -ENOBUFS);
}

static void strv_env_set_replaces(void **state)
{
	_cleanup_strv_ char **env = NULL;

	strv_env_set(&env, "A", "1");
	strv_env_set(&env, "AB", "2");
	strv_env_set(&env, "A", "3");
	assert_int_equal(strv_length(env), 2);
	assert_string_equal(strv_env_get(env, "A"), "3");
	assert_string_equal(strv_env_get(env, "AB"), "2");
	assert_null(strv_env_get(env, "B"));
}

static void file_write_atomic_replaces_and_leaves_nothing(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "file");
	_cleanup_buf_ struct buf text;

	buf_init(&text, 64);
	assert_int_equal(file_write_atomic(path, "old", 3, 0600), 0);
	assert_int_equal(file_write_atomic(path, "newer", 5, 0600), 0);
	assert_int_equal(file_read(path, &text), 0);
	assert_string_equal(text.data, "newer");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(*state), 0);
	assert_int_equal(mkdir(*state, 0700), 0);
}

static void file_write_atomic_keeps_the_old_file_when_it_cannot(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "missing/file");

	assert_int_equal(file_write_atomic(path, "x", 1, 0600), -ENOENT);
}

static void file_read_refuses_devices_and_large_files(void **state)
{
	_cleanup_buf_ struct buf text;

	buf_init(&text, 4);
	assert_int_equal(file_read("/dev/zero", &text), -EINVAL);
	assert_int_equal(file_read("/", &text), -EISDIR);
	assert_int_equal(file_read("/etc/passwd", &text), -EFBIG);
}

static void file_remove_tree_does_not_follow_links(void **state)
{
	_cleanup_free_ char *kept = path_join(*state, "kept");
	_cleanup_free_ char *tree = path_join(*state, "tree");
	_cleanup_free_ char *deep = path_join(tree, "a/b/c");
	_cleanup_free_ char *link = path_join(tree, "a/link");

	assert_int_equal(file_mkdir_all(deep, 0700), 0);
	assert_int_equal(file_write_atomic(kept, "x", 1, 0600), 0);
	assert_int_equal(symlink(*state, link), 0);
	assert_int_equal(file_remove_tree(tree), 0);
	assert_int_equal(access(tree, F_OK), -1);
	assert_int_equal(access(kept, F_OK), 0);
	assert_int_equal(file_remove_tree(tree), 0);
}

static void file_clone_keeps_holes_and_bytes(void **state)
{
	_cleanup_free_ char *from = path_join(*state, "from");
	_cleanup_free_ char *to = path_join(*state, "to");
	_cleanup_fd_ int fd = open(from, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;
	char last;

	assert_int_equal(pwrite(fd, "z", 1, (64 << 20) - 1), 1);
	assert_int_equal(file_clone(from, to, 0600), 0);
	assert_int_equal(stat(to, &st), 0);
	assert_int_equal(st.st_size, 64 << 20);
	assert_true(st.st_blocks < 2048);
	fd_close(fd);
	fd = open(to, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, &last, 1, (64 << 20) - 1), 1);
	assert_int_equal(last, 'z');
	assert_int_equal(file_clone(from, to, 0600), -EEXIST);
}

static void unix_listen_takes_a_stale_socket_away_but_no_file(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "s");
	_cleanup_fd_ int first = -1, second = -1, client = -1;
	struct stat st;

	assert_int_equal(fd_unix_listen(path, 0600, &first), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fd_unix_connect(path, &client), 0);
	assert_int_equal(fd_unix_listen(path, 0600, &second), -EADDRINUSE);
	first = fd_close(first);
	assert_int_equal(fd_unix_listen(path, 0600, &second), 0);
	second = fd_close(second);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(file_write_atomic(path, "x", 1, 0600), 0);
	assert_int_equal(fd_unix_listen(path, 0600, &second), -EEXIST);
}

static void unix_path_is_limited(void **state)
{
	char path[200];
	int fd;

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(fd_unix_connect(path, &fd), -ENAMETOOLONG);
	assert_int_equal(fd_unix_listen(path, 0600, &fd), -ENAMETOOLONG);
}

static void fd_write_has_a_deadline(void **state)
{
	int fds[2];
	char data[65536] = {0};
	int r;

	assert_int_equal(fd_socketpair(fds), 0);
	assert_int_equal(fd_set_nonblock(fds[0], true), 0);
	do {
		r = fd_write_all_until(fds[0], data, sizeof(data), clock_monotonic_ms() + 20);
	} while (r == 0);
	assert_int_equal(r, -ETIMEDOUT);
	fd_close(fds[0]);
	fd_close(fds[1]);
}

static void proc_knows_itself_and_not_a_reaped_child(void **state)
{
	struct proc_id self, child;
	pid_t pid;

	assert_int_equal(proc_identify(getpid(), &self), 0);
	assert_true(proc_is_running(&self));
	self.start_time++;
	assert_false(proc_is_running(&self));
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(proc_identify(pid, &child), 0);
	assert_int_equal(proc_kill(&child, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(proc_kill(&child, SIGKILL), -ESRCH);
}

static int run_and_read(const struct spawn *spawn, int read_fd, int write_fd, char *text,
			size_t bytes)
{
	pid_t pid;
	ssize_t n;
	int status;

	assert_int_equal(spawn_program(spawn, &pid, NULL), 0);
	close(write_fd);
	n = read(read_fd, text, bytes - 1);
	text[n > 0 ? n : 0] = '\0';
	close(read_fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void spawn_gives_exactly_the_listed_descriptors(void **state)
{
	char *argv[] = {(char *)"ls", (char *)"/proc/self/fd", NULL};
	struct spawn spawn = {.path = "/bin/ls", .argv = argv};
	int fds[2];
	char text[64];

	assert_int_equal(fd_pipe(fds), 0);
	/* One that somebody forgot to close at exec, below and one above the listed numbers. */
	assert_true(dup2(fds[0], 6) == 6 && dup2(fds[0], 200) == 200);
	struct spawn_fd list[] = {{fds[1], 1}, {-1, 7}};

	spawn.fds = list;
	spawn.fd_count = ARRAY_SIZE(list);
	assert_int_equal(run_and_read(&spawn, fds[0], fds[1], text, sizeof(text)), 0);
	/* 3 is the directory that ls reads. */
	assert_string_equal(text, "0\n1\n2\n3\n7\n");
	close(6);
	close(200);
}

static void spawn_can_swap_descriptors(void **state)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)"echo a >&8; echo b >&9", NULL};
	int a[2], b[2];
	char text[8] = {0};
	pid_t pid;

	assert_int_equal(fd_pipe(a), 0);
	assert_int_equal(fd_pipe(b), 0);
	assert_int_equal(dup2(a[1], 8), 8);
	assert_int_equal(dup2(b[1], 9), 9);
	struct spawn_fd list[] = {{9, 8}, {8, 9}};
	struct spawn spawn = {.path = "/bin/sh",
			      .argv = argv,
			      .fds = list,
			      .fd_count = ARRAY_SIZE(list)};

	assert_int_equal(spawn_program(&spawn, &pid, NULL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(fd_set_nonblock(b[0], true), 0);
	assert_int_equal(read(b[0], text, sizeof(text)), 2);
	assert_string_equal(text, "a\n");
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
		close(8 + i);
	}
}

static void spawn_reports_a_missing_program(void **state)
{
	char *argv[] = {(char *)"x", NULL};
	struct spawn spawn = {.path = "/nonexistent/x", .argv = argv};
	struct err err = {0};
	pid_t pid;

	assert_int_equal(spawn_program(&spawn, &pid, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/x"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

struct options {
	bool all, quiet;
	const char *name;
	char **env;
	long long count;
};

static int parse_options(char **argv, bool stop, struct options *o, char ***operands,
			 size_t *dashes_at, struct err *err)
{
	struct opt opts[] = {
		{'a', "all", OPT_TYPE_FLAG, &o->all, NULL, "everything"},
		{'q', "quiet", OPT_TYPE_FLAG, &o->quiet, NULL, "less"},
		{'n', "name", OPT_TYPE_STRING, &o->name, "NAME", "name"},
		{'e', "env", OPT_TYPE_STRV, &o->env, "K=V", "environment"},
		{0, "count", OPT_TYPE_INT, &o->count, "N", "how many", 1, 5},
		OPT_END,
	};
	struct opt_parser parser = {"test", NULL, opts, stop};
	enum opt_outcome outcome;

	*o = (struct options){0};
	return opt_parse(&parser, argv, operands, dashes_at, &outcome, err);
}

static void opt_takes_every_form(void **state)
{
	char *argv[] = {(char *)"t",     (char *)"-aq", (char *)"one", (char *)"--name=x",
			(char *)"-eA=1", (char *)"-e",  (char *)"B=2", (char *)"--count",
			(char *)"5",     (char *)"--",  (char *)"-z",  NULL};
	struct options o;
	char **operands;
	size_t dashes_at;

	assert_int_equal(parse_options(argv, false, &o, &operands, &dashes_at, NULL), 0);
	assert_true(o.all && o.quiet);
	assert_string_equal(o.name, "x");
	assert_string_equal(o.env[0], "A=1");
	assert_string_equal(o.env[1], "B=2");
	assert_int_equal(o.count, 5);
	assert_int_equal(dashes_at, 1);
	assert_string_equal(operands[0], "one");
	assert_string_equal(operands[1], "-z");
	assert_null(operands[2]);
	strv_free(o.env);
}

static void opt_stops_at_the_operand_if_asked(void **state)
{
	char *argv[] = {(char *)"t", (char *)"-a", (char *)"sh", (char *)"-c", (char *)"x", NULL};
	struct options o;
	char **operands;

	assert_int_equal(parse_options(argv, true, &o, &operands, NULL, NULL), 0);
	assert_string_equal(operands[0], "sh");
	assert_string_equal(operands[1], "-c");
}

static void opt_version_leaves_no_operands(void **state)
{
	char *argv[] = {(char *)"t", (char *)"one", (char *)"--version", (char *)"two", NULL};
	struct opt opts[] = {OPT_END};
	struct opt_parser parser = {"test", NULL, opts, false};
	enum opt_outcome outcome;
	char **operands = NULL;

	assert_int_equal(opt_parse(&parser, argv, &operands, NULL, &outcome, NULL), 0);
	assert_int_equal(outcome, OPT_OUTCOME_DONE);
	assert_non_null(operands);
	assert_null(operands[0]);
}

static void opt_refuses_by_name(void **state)
{
	static const struct {
		const char *argument, *sentence;
	} cases[] = {
		{"--what", "unknown option --what"},
		{"-z", "unknown option -z"},
		{"--name", "--name needs a value"},
		{"--all=1", "--all takes no value"},
		{"--count=6", "--count must be a whole number between 1 and 5, not '6'"},
		{"--count=1x", "--count must be a whole number"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *argv[] = {(char *)"t", (char *)cases[i].argument, NULL};
		struct options o;
		struct err err = {0};
		char **operands;

		assert_int_equal(parse_options(argv, false, &o, &operands, NULL, &err), -EINVAL);
		if (strstr(err.text, cases[i].sentence) == NULL)
			fail_msg("'%s' gave '%s'", cases[i].argument, err.text);
	}
}

#define in_directory(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

static const char *text_at(const void *list, size_t index)
{
	return ((const char *const *)list)[index];
}

static void the_place_in_an_order_is_found(void **state)
{
	static const char *const texts[] = {"b", "d", "d", "f"};

	assert_int_equal(sorted_lower_bound(texts, 0, text_at, "b"), 0);
	assert_int_equal(sorted_lower_bound(texts, 4, text_at, "a"), 0);
	assert_int_equal(sorted_lower_bound(texts, 4, text_at, "b"), 0);
	assert_int_equal(sorted_lower_bound(texts, 4, text_at, "c"), 1);
	assert_int_equal(sorted_lower_bound(texts, 4, text_at, "d"), 1);
	assert_int_equal(sorted_lower_bound(texts, 4, text_at, "e"), 3);
	assert_int_equal(sorted_lower_bound(texts, 4, text_at, "g"), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_place_in_an_order_is_found),
		cmocka_unit_test(err_prefix_puts_context_in_front),
		cmocka_unit_test(err_text_is_cut_not_overrun),
		cmocka_unit_test(buf_refuses_what_passes_its_maximum),
		cmocka_unit_test(buf_grows_byte_by_byte),
		cmocka_unit_test(clock_times_survive_the_round_trip),
		cmocka_unit_test(clock_refuses_what_is_no_time),
		cmocka_unit_test(json_reads_every_type),
		cmocka_unit_test(json_refuses_by_name),
		cmocka_unit_test(jsonw_writes_valid_json_whatever_the_bytes),
		cmocka_unit_test(jsonw_overflow_sticks),
		cmocka_unit_test(strv_env_set_replaces),
		in_directory(file_write_atomic_replaces_and_leaves_nothing),
		in_directory(file_write_atomic_keeps_the_old_file_when_it_cannot),
		cmocka_unit_test(file_read_refuses_devices_and_large_files),
		in_directory(file_remove_tree_does_not_follow_links),
		in_directory(file_clone_keeps_holes_and_bytes),
		in_directory(unix_listen_takes_a_stale_socket_away_but_no_file),
		cmocka_unit_test(unix_path_is_limited),
		cmocka_unit_test(fd_write_has_a_deadline),
		cmocka_unit_test(proc_knows_itself_and_not_a_reaped_child),
		cmocka_unit_test(spawn_gives_exactly_the_listed_descriptors),
		cmocka_unit_test(spawn_can_swap_descriptors),
		cmocka_unit_test(spawn_reports_a_missing_program),
		cmocka_unit_test(opt_takes_every_form),
		cmocka_unit_test(opt_stops_at_the_operand_if_asked),
		cmocka_unit_test(opt_version_leaves_no_operands),
		cmocka_unit_test(opt_refuses_by_name),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
