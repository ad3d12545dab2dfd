/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive of a machine that means harm. The input is either an archive, byte for byte, or a list of
 * entries whose names are put together from a few words, so that most of them get past the checksum.
 * Whatever it is: nothing beside the directory is made, changed, linked or renamed, nothing beside the
 * one name in it, and no temporary file is left.
 */
#include <dirent.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"

#include "../../../src/cli/cp_extract.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARCHIVE_BYTES_MAX (1024 * 1024)
#define ENTRIES_MAX       32

static char base[64];

void cli_say(const char *fmt, ...)
{
}

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* ---- where it happens ---- */

static void write_outside(void)
{
	_cleanup_free_ char *path = path_join(base, "outside");
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	check(fd >= 0 && write(fd, "text", 4) == 4);
}

static void set_up(void)
{
	_cleanup_free_ char *to = NULL, *mine = NULL;

	snprintf(base, sizeof(base), "/dev/shm/fuzz-extract-XXXXXX");
	if (mkdtemp(base) == NULL) {
		snprintf(base, sizeof(base), "/tmp/fuzz-extract-XXXXXX");
		check(mkdtemp(base) != NULL);
	}
	write_outside();
	to = path_join(base, "to");
	mine = path_join(to, "mine");
	check(mkdir(to, 0755) == 0 && symlink("../outside", mine) == 0);
}

static unsigned names_in(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;

	check(dir != NULL);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 2;
}

static int check_litter(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	check(strstr(path, "/.krunctl.") == NULL);
	/* Nothing was made that could harm whoever meets it. */
	check(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode));
	check(!S_ISREG(st->st_mode) || (st->st_mode & 06000) == 0);
	return 0;
}

static void check_place(bool contents)
{
	_cleanup_free_ char *to = path_join(base, "to"), *outside = path_join(base, "outside");
	_cleanup_free_ char *mine = path_join(to, "mine"), *t = path_join(to, "t");
	_cleanup_buf_ struct buf text = {0};
	struct stat st;

	buf_init(&text, 64);
	check(names_in(base) == 2);
	check(lstat(outside, &st) == 0 && st.st_nlink == 1 && st.st_mode == (S_IFREG | 0640));
	check(file_read(outside, &text) == 0 && text.length == 4);
	if (!contents) {
		check(lstat(mine, &st) == 0 && S_ISLNK(st.st_mode) && st.st_nlink == 1);
		check(names_in(to) == (lstat(t, &st) == 0 ? 2U : 1U));
	}
	check(nftw(to, check_litter, 16, FTW_PHYS) == 0);
}

/* ---- archives out of words ---- */

static void make_name(const uint8_t **data, size_t *size, char *ret_name)
{
	static const char *const words[] = {"t", "a", "..", ".", "", "l", "outside", "mine"};
	unsigned count = *size > 0 ? 1 + **data % 5 : 0;
	size_t length = 0;

	for (unsigned i = 0; i <= count && *size > 0; i++, (*data)++, (*size)--) {
		const char *word = words[**data >> 3 & 7];

		if (i == 0 && **data >> 6 != 3)
			word = "t";
		length += (size_t)sprintf(ret_name + length, "%s%s", i > 0 ? "/" : "", word);
	}
	ret_name[length] = '\0';
}

static void make_archive(const uint8_t *data, size_t size, struct buf *archive)
{
	static const char zeros[WIRE_TAR_END_BYTES];
	uint8_t head[8192];
	char path[128], target[128];

	for (int i = 0; i < ENTRIES_MAX && size >= 4; i++) {
		struct wire_tar_entry entry = {
			.type = data[0] % 7,
			.mode = data[1] * 32U & 07777,
			.path = path,
			.target = target,
			.mtime_s = data[2],
		};
		long n;

		data += 3;
		size -= 3;
		make_name(&data, &size, path);
		make_name(&data, &size, target);
		if (entry.type == WIRE_TAR_FILE)
			entry.bytes = strlen(target);
		if (entry.type != WIRE_TAR_SYMLINK && entry.type != WIRE_TAR_HARDLINK)
			entry.target = NULL;
		n = wire_tar_write(&entry, head, sizeof(head));
		if (n < 0)
			continue;
		check(buf_append(archive, head, (size_t)n) == 0);
		check(buf_append(archive, target, entry.bytes) == 0);
		check(buf_append(archive, zeros, wire_tar_padding(entry.bytes)) == 0);
	}
	check(buf_append(archive, zeros, sizeof(zeros)) == 0);
}

static void extract(const char *data, size_t size, bool contents)
{
	_cleanup_free_ char *to = path_join(base, "to");
	const struct cp_extract_options options = {
		.directory = to,
		.root = contents ? "." : "t",
		.name = contents ? NULL : "t",
	};
	_cleanup_cp_extract_ struct cp_extract *one = NULL;

	check(cp_extract_new(&options, &one, NULL) == 0);
	if (cp_extract_feed(one, data, size / 2) >= 0 &&
	    cp_extract_feed(one, data + size / 2, size - size / 2) >= 0)
		(void)!cp_extract_end(one, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf archive = {0};
	bool contents;

	if (size < 1)
		return 0;
	contents = (data[0] & 1) != 0;
	buf_init(&archive, ARCHIVE_BYTES_MAX);
	if ((data[0] & 2) == 0)
		make_archive(data + 1, size - 1, &archive);
	else if (buf_append(&archive, data + 1, size - 1) < 0)
		return 0;
	set_up();
	extract(archive.data, archive.length, contents);
	check_place(contents);
	check(file_remove_tree(base) == 0);
	return 0;
}
