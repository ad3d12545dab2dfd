/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive into a directory with links that lead out of it: whatever the archive says, nothing outside
 * of the directory changes, and no temporary name is left in it.
 */
#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "copy_put.c"
#include "wire/tar_header.h"

#define INPUT_BYTES_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* copy.c's, without the saying. */
int copy_fail_errno(struct failure *failure, const char *format, ...)
{
	return failure_set(failure, WIRE_COPY_FAILED, "%s", format);
}

void copy_warn(const char *format, ...)
{
	(void)format;
}

static char top[64];
static const char *const outside[] = {"", "/outside", "/outside/secret"};
static struct stat before[ARRAY_SIZE(outside)];

static void path_of(char *ret_path, size_t size, const char *name)
{
	snprintf(ret_path, size, "%s%s", top, name);
}

static void must(bool is_true)
{
	if (!is_true) {
		perror("fuzz_copy");
		abort();
	}
}

static void look(struct stat *ret_stats)
{
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		path_of(path, sizeof(path), outside[i]);
		must(lstat(path, &ret_stats[i]) == 0);
	}
}

static void make(const char *name, const char *target)
{
	char path[128];

	path_of(path, sizeof(path), name);
	must(target != NULL ? symlink(target, path) == 0 : mkdir(path, 0755) == 0);
}

/* Sixteen digits: an archive may have names that begin like it. */
static bool is_temporary(const char *name)
{
	size_t prefix = strlen(TEMPORARY_PREFIX);

	return strncmp(name, TEMPORARY_PREFIX, prefix) == 0 && strlen(name) == prefix + 16 &&
	       strspn(name + prefix, "0123456789abcdef") == 16;
}

/* As deep as the longest name of an archive. */
static void remove_content(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	must(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		/* The copy forgot it. */
		if (is_temporary(entry->d_name))
			abort();
		if (unlinkat(fd, entry->d_name, 0) == 0)
			continue;
		must(fchmodat(fd, entry->d_name, 0700, 0) == 0);
		remove_content(openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
		must(unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0);
	}
	closedir(dir);
}

static void remove_top(void)
{
	remove_content(open(top, O_RDONLY | O_DIRECTORY));
	must(rmdir(top) == 0);
}

/* Each directory on the way down is open. */
__attribute__((constructor)) static void raise_limit(void)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void make_top(void)
{
	char path[128];
	int fd;

	strcpy(top, access("/dev/shm", W_OK) == 0 ? "/dev/shm/krun-fuzz-XXXXXX"
						  : "/tmp/krun-fuzz-XXXXXX");
	must(mkdtemp(top) != NULL);
	make("/outside", NULL);
	path_of(path, sizeof(path), "/outside/secret");
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, "secret", 6) == 6);
	close(fd);
	make("/target", NULL);
	make("/target/d", NULL);
	make("/target/in", "d");
	make("/target/up", "..");
	make("/target/out", "../outside");
	path_of(path, sizeof(path), "/outside");
	make("/target/abs", path);
	make("/target/loop", "loop");
	look(before);
}

static void check_outside(void)
{
	struct stat after[ARRAY_SIZE(outside)];

	look(after);
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		/* The time of change says it all: links, owners, contents, entries. */
		if (after[i].st_ino != before[i].st_ino ||
		    after[i].st_nlink != before[i].st_nlink ||
		    after[i].st_ctim.tv_sec != before[i].st_ctim.tv_sec ||
		    after[i].st_ctim.tv_nsec != before[i].st_ctim.tv_nsec)
			abort();
	}
}

/* Else nearly all that is tried ends at the first header. */
static void mend_checksums(uint8_t *data, size_t size)
{
	for (; size >= WIRE_TAR_BLOCK_BYTES;
	     data += WIRE_TAR_BLOCK_BYTES, size -= WIRE_TAR_BLOCK_BYTES) {
		struct tar_header *header = (struct tar_header *)(void *)data;
		unsigned sum = 0;

		if (memcmp(header->magic, "ustar", 5) != 0)
			continue;
		memset(header->checksum, ' ', sizeof(header->checksum));
		for (size_t i = 0; i < WIRE_TAR_BLOCK_BYTES; i++)
			sum += data[i];
		snprintf(header->checksum, sizeof(header->checksum), "%06o", sum);
	}
}

static void copy_archive(const uint8_t *data, size_t size)
{
	struct failure failure = {0};
	char path[128];
	int r;

	path_of(path, sizeof(path), "/target");
	must(begin(path, &failure) == 0);
	r = take(data, size);
	if ((r < 0) != (failure.code != 0) || (r < 0) != (failure.text[0] != '\0'))
		abort();
	end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t mended[INPUT_BYTES_MAX];
	if (size > sizeof(mended))
		return 0;
	memcpy(mended, data, size);
	mend_checksums(mended, size);
	umask(0);
	make_top();
	copy_archive(mended, size);
	check_outside();
	remove_top();
	return 0;
}
