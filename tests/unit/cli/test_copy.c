/* SPDX-License-Identifier: Apache-2.0 */
/* Trees into archives, and archives of a machine that is not trusted into files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli.h"
#include "cp_extract.h"
#include "cp_path.h"
#include "cp_tree.h"
#include "wire/tar.h"

#define ARCHIVE_BYTES_MAX (32 * 1024 * 1024)

static unsigned said; /* how many words about what was left out */

void cli_say(const char *fmt, ...)
{
	said++;
}

/* ---- a directory for each test: `from` and `to`, and a file beside them that nobody may touch ---- */

static char base[64];

static char *at(const char *path)
{
	return path_join(base, path);
}

static void write_at(const char *path, const char *text, mode_t mode)
{
	_cleanup_free_ char *whole = at(path);
	_cleanup_fd_ int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static void mkdir_at(const char *path, mode_t mode)
{
	_cleanup_free_ char *whole = at(path);

	assert_int_equal(mkdir(whole, 0700), 0);
	assert_int_equal(chmod(whole, mode), 0);
}

static void link_at(const char *target, const char *path)
{
	_cleanup_free_ char *whole = at(path);

	assert_int_equal(symlink(target, whole), 0);
}

static struct stat stat_at(const char *path)
{
	_cleanup_free_ char *whole = at(path);
	struct stat st;

	if (lstat(whole, &st) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return st;
}

static bool is_at(const char *path)
{
	_cleanup_free_ char *whole = at(path);
	struct stat st;

	return lstat(whole, &st) == 0;
}

static void assert_text_at(const char *path, const char *text)
{
	_cleanup_free_ char *whole = at(path);
	_cleanup_buf_ struct buf buf = {0};

	buf_init(&buf, 65536);
	assert_int_equal(file_read(whole, &buf), 0);
	assert_string_equal(buf.data != NULL ? buf.data : "", text);
}

/* No name of a temporary file, anywhere. */
static void assert_no_litter(const char *directory)
{
	_cleanup_free_ char *whole = at(directory);
	DIR *dir = opendir(whole);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		assert_null(strstr(entry->d_name, ".krunctl"));
	closedir(dir);
}

static int set_up(void **state)
{
	snprintf(base, sizeof(base), "/tmp/test-copy-XXXXXX");
	if (mkdtemp(base) == NULL)
		return -1;
	mkdir_at("from", 0755);
	mkdir_at("to", 0755);
	write_at("outside", "untouched", 0600);
	said = 0;
	return 0;
}

static int tear_down(void **state)
{
	/* Whatever the test was about: nothing of it went out of its place. */
	assert_text_at("outside", "untouched");
	return file_remove_tree(base);
}

/* ---- archives ---- */

static void append(struct buf *archive, const struct wire_tar_entry *entry, const char *contents)
{
	uint8_t head[65536];
	long n = wire_tar_write(entry, head, sizeof(head));
	size_t length = contents != NULL ? strlen(contents) : 0;
	static const char zeros[WIRE_TAR_BLOCK_BYTES];

	assert_true(n > 0);
	assert_int_equal(buf_append(archive, head, (size_t)n), 0);
	assert_int_equal(buf_append(archive, contents, length), 0);
	assert_int_equal(buf_append(archive, zeros, wire_tar_padding(length)), 0);
}

static void append_end(struct buf *archive)
{
	static const char zeros[WIRE_TAR_END_BYTES];

	assert_int_equal(buf_append(archive, zeros, sizeof(zeros)), 0);
}

static struct wire_tar_entry file_entry(const char *path, const char *contents)
{
	return (struct wire_tar_entry){.type = WIRE_TAR_FILE,
				       .path = path,
				       .bytes = strlen(contents),
				       .mode = 0644};
}

static struct wire_tar_entry other_entry(enum wire_tar_type type, const char *path,
					 const char *target)
{
	return (struct wire_tar_entry){.type = type, .path = path, .target = target, .mode = 0755};
}

/* Into `to`, by pieces of `step` bytes. */
static int extract(const struct buf *archive, struct cp_extract_options options, size_t step,
		   struct err *err)
{
	_cleanup_free_ char *to = at("to");
	_cleanup_cp_extract_ struct cp_extract *extract;
	int r = 0;

	options.directory = to;
	assert_int_equal(cp_extract_new(&options, &extract, NULL), 0);
	for (size_t i = 0; i < archive->length && r >= 0; i += step)
		r = cp_extract_feed(extract, archive->data + i, MIN(step, archive->length - i));
	if (r < 0) {
		*err = *cp_extract_error(extract);
		return r;
	}
	return cp_extract_end(extract, err);
}

static const struct cp_extract_options contents = {.root = "."}, tree = {.root = "t", .name = "t"};

static void read_tree(const struct cp_tree_options *options, struct buf *archive)
{
	_cleanup_cp_tree_ struct cp_tree *source;
	char data[7001];
	ssize_t n;

	assert_int_equal(cp_tree_new(options, &source, NULL), 0);
	while ((n = cp_tree_read(source, data, sizeof(data))) > 0)
		assert_int_equal(buf_append(archive, data, (size_t)n), 0);
	if (n < 0)
		fail_msg("%s", cp_tree_error(source)->text);
}

/* ---- paths ---- */

static void operands_are_told_apart(void **state)
{
	static const struct {
		const char *text, *machine, *path;
		bool is_stream;
	} cases[] = {
		{"web:/etc/passwd", "web", "/etc/passwd", false},
		{"web:tmp/x", "web", "/tmp/x", false},
		{"web:", "web", "/", false},
		{"web:/a:b", "web", "/a:b", false},
		{"./a:b", NULL, "./a:b", false},
		{"/a:b", NULL, "/a:b", false},
		{"a/b:c", NULL, "a/b:c", false},
		{":x", NULL, ":x", false},
		{"file", NULL, "file", false},
		{"-", NULL, "-", true},
		{"web:-", "web", "/-", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_cp_place_ struct cp_place place;

		assert_int_equal(cp_place_parse(cases[i].text, &place, NULL), 0);
		if (cases[i].machine == NULL)
			assert_null(place.machine);
		else
			assert_string_equal(place.machine, cases[i].machine);
		assert_string_equal(place.path, cases[i].path);
		assert_int_equal(place.is_stream, cases[i].is_stream);
	}
	assert_int_equal(cp_place_parse("", &(struct cp_place){0}, NULL), -EINVAL);
}

static void paths_are_taken_apart(void **state)
{
	static const struct {
		const char *path, *trimmed, *directory, *name;
		bool is_contents, has_slash;
	} cases[] = {
		{"/a/b", "/a/b", "/a", "b", false, false},
		{"/a/b/", "/a/b", "/a", "b", false, true},
		{"/a/b/.", "/a/b", "/a", "b", true, false},
		{"/a//b///", "/a//b", "/a", "b", false, true},
		{"b", "b", ".", "b", false, false},
		{".", ".", ".", ".", true, false},
		{"./", ".", ".", ".", false, true},
		{"/", "/", "/", "", true, true},
		{"/.", "/", "/", "", true, false},
		{"/a", "/a", "/", "a", false, false},
		{"..", "..", ".", "..", false, false},
		{"a.", "a.", ".", "a.", false, false},
		{"/a/..b", "/a/..b", "/a", "..b", false, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *trimmed = cp_path_trim(cases[i].path);
		_cleanup_free_ char *directory = cp_path_directory(trimmed);
		_cleanup_free_ char *name = cp_path_name(trimmed);

		assert_string_equal(trimmed, cases[i].trimmed);
		assert_string_equal(directory, cases[i].directory);
		assert_string_equal(name, cases[i].name);
		assert_int_equal(cp_path_is_contents(cases[i].path), cases[i].is_contents);
		assert_int_equal(cp_path_has_slash(cases[i].path), cases[i].has_slash);
	}
}

static void links_are_followed_from_where_they_are(void **state)
{
	_cleanup_free_ char *absolute = cp_path_follow("/a/b", "/c");
	_cleanup_free_ char *relative = cp_path_follow("/a/b/", "c/d");
	_cleanup_free_ char *at_root = cp_path_follow("/b", "c");

	assert_string_equal(absolute, "/c");
	assert_string_equal(relative, "/a/c/d");
	assert_string_equal(at_root, "//c");
}

/* ---- there and back ---- */

static void set_time(const char *path, time_t seconds, long ns)
{
	const struct timespec times[2] = {{seconds, ns}, {seconds, ns}};
	_cleanup_free_ char *whole = at(path);

	assert_int_equal(utimensat(AT_FDCWD, whole, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void make_tree(void)
{
	_cleanup_free_ char *twin = at("from/dir/twin"), *file = at("from/file");
	_cleanup_free_ char *sparse = at("from/sparse");
	_cleanup_fd_ int fd = -1;

	write_at("from/file", "hello", 0640);
	write_at("from/empty", "", 0600);
	mkdir_at("from/dir", 0755);
	write_at("from/dir/odd \n\t\xff\x80*\\name", "odd", 0604);
	assert_int_equal(link(file, twin), 0);
	link_at("/nowhere/at all", "from/dir/link");
	mkdir_at("from/dir/closed", 0555);
	fd = open(sparse, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "begin", 5, 0), 5);
	assert_int_equal(pwrite(fd, "end", 3, 64L * 1024 * 1024), 3);
	set_time("from/file", 1234567890, 123456789);
	set_time("from/dir/link", 1000000000, 0);
	set_time("from/dir/closed", 1100000000, 5);
	set_time("from/dir", 1200000000, 7);
}

static void a_tree_comes_back_as_it_was(void **state)
{
	_cleanup_free_ char *from = at("from");
	_cleanup_buf_ struct buf archive = {0};
	const struct cp_tree_options options = {.path = from, .name = "t"};
	struct err err = {0};
	struct stat st;
	char target[64];
	_cleanup_free_ char *link = at("to/t/dir/link");

	buf_init(&archive, ARCHIVE_BYTES_MAX);
	make_tree();
	read_tree(&options, &archive);
	/* The holes are not in the archive. */
	assert_true(archive.length < 1024 * 1024);
	if (extract(&archive, tree, 1000, &err) < 0)
		fail_msg("%s", err.text);

	assert_text_at("to/t/file", "hello");
	assert_text_at("to/t/empty", "");
	assert_text_at("to/t/dir/odd \n\t\xff\x80*\\name", "odd");
	st = stat_at("to/t/file");
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_mtim.tv_sec, 1234567890);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	assert_int_equal(st.st_ino, stat_at("to/t/dir/twin").st_ino);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(readlink(link, target, sizeof(target)), 15);
	assert_memory_equal(target, "/nowhere/at all", 15);
	assert_int_equal(stat_at("to/t/dir/link").st_mtim.tv_sec, 1000000000);
	st = stat_at("to/t/dir/closed");
	assert_int_equal(st.st_mode & 07777, 0555);
	assert_int_equal(st.st_mtim.tv_sec, 1100000000);
	/* A directory has its time though things were made in it afterwards. */
	assert_int_equal(stat_at("to/t/dir").st_mtim.tv_sec, 1200000000);
	st = stat_at("to/t/sparse");
	assert_int_equal(st.st_size, 64 * 1024 * 1024 + 3);
	assert_true(st.st_blocks < 2048);
	assert_no_litter("to/t");
}

static void contents_go_into_the_directory(void **state)
{
	_cleanup_free_ char *from = at("from");
	_cleanup_buf_ struct buf archive = {0};
	const struct cp_tree_options options = {.path = from, .name = "."};
	struct err err = {0};
	struct stat before, after;

	buf_init(&archive, ARCHIVE_BYTES_MAX);
	make_tree();
	read_tree(&options, &archive);
	before = stat_at("to");
	assert_int_equal(extract(&archive, contents, SIZE_MAX, &err), 0);
	assert_text_at("to/file", "hello");
	assert_int_equal(stat_at("to/dir/closed").st_mode & 07777, 0555);
	/* The user's own directory stays as it is. */
	after = stat_at("to");
	assert_int_equal(after.st_mode, before.st_mode);
}

static void a_file_that_becomes_shorter_is_an_error(void **state)
{
	_cleanup_free_ char *from = at("from/file");
	_cleanup_cp_tree_ struct cp_tree *source;
	char data[WIRE_TAR_BLOCK_BYTES];
	ssize_t n;

	write_at("from/file", "hello", 0600);
	assert_int_equal(cp_tree_new(&(struct cp_tree_options){.path = from, .name = "f"}, &source,
				     NULL),
			 0);
	assert_int_equal(cp_tree_read(source, data, sizeof(data)), sizeof(data));
	assert_int_equal(truncate(from, 2), 0);
	do {
		n = cp_tree_read(source, data, sizeof(data));
	} while (n > 0);
	assert_int_equal(n, -EIO);
	assert_non_null(strstr(cp_tree_error(source)->text, "became shorter"));
}

static void a_link_as_the_source_is_copied_or_followed(void **state)
{
	for (int follow = 0; follow < 2; follow++) {
		_cleanup_free_ char *from = at("from/link");
		_cleanup_buf_ struct buf archive = {0};
		struct cp_tree_options options = {.path = from, .name = "t", .follow = follow};
		struct err err = {0};

		buf_init(&archive, ARCHIVE_BYTES_MAX);
		if (follow == 0) {
			write_at("from/file", "hello", 0600);
			link_at("file", "from/link");
		}
		read_tree(&options, &archive);
		assert_int_equal(extract(&archive, tree, SIZE_MAX, &err), 0);
		assert_int_equal(S_ISLNK(stat_at("to/t").st_mode), follow == 0);
	}
	assert_text_at("to/t", "hello");
}

/* ---- what is not taken ---- */

static void names_that_lead_out_are_refused(void **state)
{
	static const char *const names[] = {
		"../outside",
		"t/../../outside",
		"/outside",
		"t/..",
		"..",
		"//t",
		"./t/x",
		"outside",
		"tt/x",
		"T",
		"t/a/../../../outside",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_buf_ struct buf archive = {0};
		const struct wire_tar_entry entry = file_entry(names[i], "bad");
		struct err err = {0};

		buf_init(&archive, ARCHIVE_BYTES_MAX);
		append(&archive, &entry, "bad");
		append_end(&archive);
		assert_int_equal(extract(&archive, tree, SIZE_MAX, &err), -EBADMSG);
		assert_false(is_at("to/outside"));
		assert_no_litter("to");
	}
}

static void links_are_not_written_through(void **state)
{
	static const char *const targets[] = {"..", "../", "/tmp", ".", "../from"};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		_cleanup_buf_ struct buf archive = {0};
		const struct wire_tar_entry directory = other_entry(WIRE_TAR_DIRECTORY, "t", NULL),
					    link = other_entry(WIRE_TAR_SYMLINK, "t/l", targets[i]),
					    file = file_entry("t/l/outside", "bad");
		struct err err = {0};

		buf_init(&archive, ARCHIVE_BYTES_MAX);
		append(&archive, &directory, NULL);
		append(&archive, &link, NULL);
		append(&archive, &file, "bad");
		append_end(&archive);
		assert_int_equal(extract(&archive, tree, 512, &err), -ELOOP);
		assert_false(is_at("from/outside"));
		assert_false(is_at("to/outside"));
	}
}

/* Nor through one that was there: the tree is not followed out of its place by a link of the user's. */
static void links_that_were_there_are_not_written_through(void **state)
{
	_cleanup_buf_ struct buf archive = {0};
	const struct wire_tar_entry directory = other_entry(WIRE_TAR_DIRECTORY, "t", NULL),
				    file = file_entry("t/a", "new");
	struct err err = {0};

	buf_init(&archive, ARCHIVE_BYTES_MAX);
	append(&archive, &directory, NULL);
	append(&archive, &file, "new");
	append_end(&archive);
	link_at("../from", "to/t");
	assert_int_equal(extract(&archive, tree, SIZE_MAX, &err), -ELOOP);
	assert_false(is_at("from/a"));
}

static void what_has_the_name_is_replaced_and_not_opened(void **state)
{
	_cleanup_buf_ struct buf archive = {0};
	const struct wire_tar_entry file = file_entry("t", "new");
	struct err err = {0};

	buf_init(&archive, ARCHIVE_BYTES_MAX);
	append(&archive, &file, "new");
	append_end(&archive);
	link_at("../outside", "to/t");
	assert_int_equal(extract(&archive, tree, SIZE_MAX, &err), 0);
	assert_text_at("to/t", "new");
	assert_true(S_ISREG(stat_at("to/t").st_mode));
}

static void hard_links_stay_below_the_root(void **state)
{
	static const char *const targets[] = {"../outside", "/etc/passwd", "t/../../outside",
					      "outside",    "t/l/outside", "t/none"};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		_cleanup_buf_ struct buf archive = {0};
		const struct wire_tar_entry directory = other_entry(WIRE_TAR_DIRECTORY, "t", NULL),
					    link = other_entry(WIRE_TAR_SYMLINK, "t/l", "../.."),
					    hard = other_entry(WIRE_TAR_HARDLINK, "t/h",
							       targets[i]);
		struct err err = {0};

		buf_init(&archive, ARCHIVE_BYTES_MAX);
		append(&archive, &directory, NULL);
		append(&archive, &link, NULL);
		append(&archive, &hard, NULL);
		append_end(&archive);
		assert_true(extract(&archive, tree, SIZE_MAX, &err) < 0);
		assert_false(is_at("to/t/h"));
		assert_int_equal(stat_at("outside").st_nlink, 1);
		assert_no_litter("to/t");
	}
}

static void kinds_do_not_replace_each_other(void **state)
{
	_cleanup_free_ char *place = at("to/t");
	_cleanup_buf_ struct buf one = {0}, other = {0};
	const struct wire_tar_entry file = file_entry("t", "new"),
				    directory = other_entry(WIRE_TAR_DIRECTORY, "t", NULL);
	struct err err = {0};

	buf_init(&one, ARCHIVE_BYTES_MAX);
	append(&one, &file, "new");
	append_end(&one);
	mkdir_at("to/t", 0755);
	assert_int_equal(extract(&one, tree, SIZE_MAX, &err), -EISDIR);
	assert_true(S_ISDIR(stat_at("to/t").st_mode));
	assert_no_litter("to");
	buf_init(&other, ARCHIVE_BYTES_MAX);
	append(&other, &directory, NULL);
	append_end(&other);
	assert_int_equal(rmdir(place), 0);
	write_at("to/t", "old", 0600);
	assert_int_equal(extract(&other, tree, SIZE_MAX, &err), -ENOTDIR);
	assert_text_at("to/t", "old");
}

static void devices_are_left_out_and_set_id_bits_dropped(void **state)
{
	_cleanup_buf_ struct buf archive = {0};
	struct wire_tar_entry directory = other_entry(WIRE_TAR_DIRECTORY, "t", NULL),
			      device = other_entry(WIRE_TAR_CHAR, "t/d", NULL),
			      pipe = other_entry(WIRE_TAR_FIFO, "t/p", NULL),
			      file = file_entry("t/s", "set");
	struct err err = {0};

	buf_init(&archive, ARCHIVE_BYTES_MAX);
	file.mode = 06755;
	directory.mode = 03755;
	append(&archive, &directory, NULL);
	append(&archive, &device, NULL);
	append(&archive, &pipe, NULL);
	append(&archive, &file, "set");
	append_end(&archive);
	assert_int_equal(extract(&archive, tree, SIZE_MAX, &err), 0);
	assert_int_equal(said, 2);
	assert_false(is_at("to/t/d"));
	assert_false(is_at("to/t/p"));
	assert_int_equal(stat_at("to/t/s").st_mode & 07777, 0755);
	assert_int_equal(stat_at("to/t").st_mode & 07777, 01755);
}

/* ---- what breaks off ---- */

static void half_a_file_is_none(void **state)
{
	_cleanup_buf_ struct buf archive = {0};
	const struct wire_tar_entry file = file_entry("t", "a new text of some length");
	struct err err = {0};

	buf_init(&archive, ARCHIVE_BYTES_MAX);
	append(&archive, &file, "a new text of some length");
	archive.length = WIRE_TAR_BLOCK_BYTES + 10;
	write_at("to/t", "old", 0600);
	assert_int_equal(extract(&archive, tree, SIZE_MAX, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "ends too early"));
	assert_text_at("to/t", "old");
	assert_no_litter("to");
}

static void an_archive_must_end_and_hold_something(void **state)
{
	_cleanup_buf_ struct buf archive = {0};
	const struct wire_tar_entry file = file_entry("t", "text");
	struct err err = {0};

	buf_init(&archive, ARCHIVE_BYTES_MAX);
	append(&archive, &file, "text");
	assert_int_equal(extract(&archive, tree, SIZE_MAX, &err), -EBADMSG);
	buf_clear(&archive);
	append_end(&archive);
	assert_int_equal(extract(&archive, tree, SIZE_MAX, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "empty"));
}

static void damage_is_said(void **state)
{
	_cleanup_buf_ struct buf archive = {0};
	const struct wire_tar_entry file = file_entry("t", "text");
	struct err err = {0};

	buf_init(&archive, ARCHIVE_BYTES_MAX);
	append(&archive, &file, "text");
	archive.data[0] = 'x';
	assert_int_equal(extract(&archive, tree, SIZE_MAX, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "damaged"));
}

#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operands_are_told_apart),
		cmocka_unit_test(paths_are_taken_apart),
		cmocka_unit_test(links_are_followed_from_where_they_are),
		WITH_DIRECTORY(a_tree_comes_back_as_it_was),
		WITH_DIRECTORY(contents_go_into_the_directory),
		WITH_DIRECTORY(a_file_that_becomes_shorter_is_an_error),
		WITH_DIRECTORY(a_link_as_the_source_is_copied_or_followed),
		WITH_DIRECTORY(names_that_lead_out_are_refused),
		WITH_DIRECTORY(links_are_not_written_through),
		WITH_DIRECTORY(links_that_were_there_are_not_written_through),
		WITH_DIRECTORY(what_has_the_name_is_replaced_and_not_opened),
		WITH_DIRECTORY(hard_links_stay_below_the_root),
		WITH_DIRECTORY(kinds_do_not_replace_each_other),
		WITH_DIRECTORY(devices_are_left_out_and_set_id_bits_dropped),
		WITH_DIRECTORY(half_a_file_is_none),
		WITH_DIRECTORY(an_archive_must_end_and_hold_something),
		WITH_DIRECTORY(damage_is_said),
	};

	return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
